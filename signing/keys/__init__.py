"""Keys that sign: files, devices, pools, and what is known of their certificates."""
