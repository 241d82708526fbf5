"""Webhooks: signed HTTP requests to platforms."""
