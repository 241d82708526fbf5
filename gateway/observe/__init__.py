"""Log events and metrics, and the limits on them."""
