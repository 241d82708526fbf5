"""One process each, one loop each: accept, forward, collect, keep."""
