"""What platforms have (JSON, CSV) → CEB documents, by tables that only declare (docs/mappings.md, docs/adr/0025)."""
