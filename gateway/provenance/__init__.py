"""What a translated message was made from and by: recorded once, and repeated from the records alone (docs/adr/0055)."""
