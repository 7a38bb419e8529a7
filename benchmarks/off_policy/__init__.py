"""How well policies are evaluated from logs of others; ``python -m benchmarks.off_policy``."""
