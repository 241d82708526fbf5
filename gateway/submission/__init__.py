"""From the bytes of a caller to the commit: decode, identify, authorise, validate, route, store."""
