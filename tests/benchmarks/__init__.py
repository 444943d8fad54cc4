"""Measures the build against the tools that people use today; ``python -m tests.benchmarks``."""
