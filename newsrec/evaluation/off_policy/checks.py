"""What a log must be before anything is estimated from it. Each fault is named, counted and refused."""

import numpy as np

ROUNDING = 1e-6
"""By which a probability may exceed 1, and probabilities that sum to 1 may miss it."""


class InvalidLog(ValueError):
    """A log from which nothing can be estimated: what was found, what was expected, what to do."""


def same_shape(**arrays: np.ndarray) -> None:
    """All ``arrays`` have the shape of the first."""
    (first, like), *others = arrays.items()
    for name, array in others:
        if array.shape != like.shape:
            raise InvalidLog(f"{name} has shape {array.shape}, expected {like.shape} as {first}")


def given(name: str, array: np.ndarray | None, what_for: str) -> np.ndarray:
    """``array``, which not every estimator needs."""
    if array is None:
        raise InvalidLog(f"the log holds no {name}, expected it for {what_for}; give it, or take another estimator")
    return array


def finite(name: str, values: np.ndarray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise InvalidLog(
            f"{name}: {bad.sum()} of {bad.size} are missing or infinite, the first in row {_row(bad)}; expected "
            f"numbers: leave these rows out if that does not depend on what happened"
        )


def logged_propensities(values: np.ndarray, shown: np.ndarray | bool = True) -> None:
    """Probabilities in (0, 1] wherever something was ``shown``."""
    kinds = {
        "missing": np.isnan(values) & shown,
        "zero or less": (values <= 0.0) & shown,
        "above one": (values > 1.0 + ROUNDING) & shown,
    }
    if any(bad.any() for bad in kinds.values()):
        found = ", ".join(f"{bad.sum()} {kind}" for kind, bad in kinds.items() if bad.any())
        every = kinds["missing"] | kinds["zero or less"] | kinds["above one"]
        raise InvalidLog(
            f"logged propensities: found {found} of {every.size}, the first in row {_row(every)}; expected "
            f"probabilities in (0, 1]: log them when the slate is drawn, what was shown had one"
        )


def target_probabilities(values: np.ndarray, shown: np.ndarray | bool = True) -> None:
    """Probabilities in [0, 1] wherever something was ``shown``."""
    bad = ~((values >= 0.0) & (values <= 1.0 + ROUNDING)) & shown
    if bad.any():
        raise InvalidLog(
            f"target probabilities: {bad.sum()} of {bad.size} are missing, negative or above one, the first in row "
            f"{_row(bad)}; expected the evaluated policy's probability of what was shown"
        )


def distributions(name: str, values: np.ndarray) -> None:
    """Each line of ``values`` [..., C] is a distribution over C candidates."""
    target_probabilities(values)
    total = values.sum(-1, dtype=np.float64)
    bad = np.abs(total - 1.0) > max(ROUNDING, 1e2 * np.finfo(values.dtype).eps)
    if bad.any():
        raise InvalidLog(
            f"{name}: {bad.sum()} of {bad.size} lines do not sum to 1, the first in row {_row(bad)}; expected the "
            f"probability of each candidate, 0 for padding"
        )


def requests(request: np.ndarray | None) -> None:
    """No request stands twice; unchecked where the log does not number them."""
    if request is None:
        return
    ordered = np.sort(request)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(again):
        raise InvalidLog(
            f"requests: {len(again)} of {len(request)} rows repeat one, {again[0]!s} among them; expected each once: "
            f"keep the first of a repeated write"
        )


def _row(bad: np.ndarray) -> int:
    return int(np.argwhere(bad)[0, 0])
