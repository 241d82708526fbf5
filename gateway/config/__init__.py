"""gateway.toml and the files of enterprises → frozen values, checked whole before anything starts."""
