"""Transports that send entries, and feeds that receive receipts."""
