"""`gateway check`: the command, and the questions that it asks."""
