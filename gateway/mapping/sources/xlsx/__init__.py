"""Read XLSX (ECMA-376, Office Open XML) in constant memory: values as they are shown, bounds before anything is inflated."""
