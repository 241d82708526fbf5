"""`gateway mapping`: mappings listed, shown, checked, tried, explained, drafted, and their templates."""
