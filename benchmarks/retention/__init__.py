"""Policies that bring readers back against those that please: ``python -m benchmarks.retention``."""
