"""gateway.toml and the files of enterprises → frozen values, fully checked before anything starts."""
