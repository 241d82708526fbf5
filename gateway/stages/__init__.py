"""The stages of the way of a declaration: pure functions, one stage a file."""
