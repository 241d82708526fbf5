"""Judging in processes that may be killed: what could take longer than a caller, or all others, should wait."""
