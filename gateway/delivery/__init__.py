"""Receipts brought home to their enterprises, a channel each."""
