"""A run whose figures would mean nothing."""


class Void(RuntimeError):
    """Why no figure of this run counts."""
