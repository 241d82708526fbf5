"""Delivers receipts to their enterprises, on each of their channels."""
