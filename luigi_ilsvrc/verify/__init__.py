"""A finished build, read again: every byte of it compared with what it was made from."""
