"""Doors: where messages come in."""
