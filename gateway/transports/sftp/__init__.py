"""SFTP, out and in."""
