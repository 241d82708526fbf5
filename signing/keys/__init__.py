"""Keys that sign: files, devices and pools, and the facts of their certificates."""
