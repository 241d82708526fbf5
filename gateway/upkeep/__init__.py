"""Periodic maintenance: retention, checkpoints, watermarks, expiries."""
