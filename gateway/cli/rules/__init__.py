"""`gateway rules`: the rules that advice is given by, listed, checked, explained and tried."""
