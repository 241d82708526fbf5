"""What HTTP and the command line both show."""
