"""Benchmarks against what the package stands on, and against what it replaces: ``python -m bench``."""
