"""XML signatures: canonicalisation, splicing, verification."""
