"""Signing keys: loading them, what others may know of them, how long their queues are."""
