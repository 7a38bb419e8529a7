"""Quantities of the Kubernetes API as numbers."""

_SUFFIXES = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9}


def number(quantity: str | int) -> float:
    """``100m`` is 0.1, ``1Gi`` is 2**30."""
    text = str(quantity)
    suffix = text.lstrip("0123456789.")
    return float(text.removesuffix(suffix)) * (_SUFFIXES[suffix] if suffix else 1)
