"""Wires everything together: the only place that builds adapters and roles."""
