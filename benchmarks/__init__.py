"""Benchmarks, each a ratio against a baseline that ran beside it: ``python -m benchmarks``."""
