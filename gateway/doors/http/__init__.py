"""The HTTP API: its protocol, its operations, who is calling."""
