"""Processes: starting, watching, stopping and isolating them."""
