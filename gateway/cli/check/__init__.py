"""`gateway check`: the command and its probes."""
