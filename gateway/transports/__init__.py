"""What carries entries out and receipts in."""
