"""What lets messages in."""
