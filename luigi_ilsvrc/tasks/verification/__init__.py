"""Verification as tasks."""
