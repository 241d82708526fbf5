"""XML signatures: canonical form, splicing, verification."""
