"""Doors beside HTTP: folders and queues that are polled."""
