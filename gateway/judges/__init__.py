"""Runs expensive checks in processes that may be killed, so that no case delays its caller or others for long."""
