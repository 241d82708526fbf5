"""Views that HTTP and the command line both show."""
