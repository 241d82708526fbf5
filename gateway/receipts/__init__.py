"""Receipts: collect, open, correlate, file, rematch orphans, find overdue answers."""
