"""What `xsd/` and `mappings/` say, loaded once: schemas, catalogue, codes, response times."""
