"""The content of `xsd/` and `mappings/`, loaded once: schemas, catalogue, codes, response times."""
