"""Benchmark items in the training data."""
