"""Attacks: what a stranger, a tenant or a curious neighbour may try, and what it gets."""
