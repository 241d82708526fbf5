"""What comes back: collect, open, correlate, file, try again, find overdue."""
