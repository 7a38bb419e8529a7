"""A simulated world fitted to a log: what the log tells is estimated, what it does not is listed as assumed."""
