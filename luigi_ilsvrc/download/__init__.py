"""A URL or a folder -> one verified file."""
