"""The customs exchange gateway: everything that knows what a declaration is."""
