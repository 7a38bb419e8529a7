"""Transitions a second that CQL trains on, beside d3rlpy's discrete CQL on the same network, batch and log."""
