"""From the spool to customs: claim, sign, check, wrap, send, settle."""
