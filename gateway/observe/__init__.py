"""Log events, figures, and how they are bounded."""
