"""The HTTP API: its protocol, its operations, the authentication of callers."""
