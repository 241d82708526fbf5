"""Translate JSON and CSV of platforms to CEB documents, by declarative tables (docs/mappings.md, docs/adr/0025)."""
