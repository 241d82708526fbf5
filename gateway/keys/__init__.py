"""Signing keys: loading them, their public facts, and the length of their queues."""
