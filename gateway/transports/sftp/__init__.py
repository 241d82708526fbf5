"""SFTP: transport and feed."""
