"""What platforms hand in, read in constant memory: tables (CSV, XLSX, JSON, NDJSON) and documents (JSON, NDJSON)."""
