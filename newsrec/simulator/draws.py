"""Random numbers that are a function of what they are for: seed, purpose, and keys such as reader, visit, position.

A number drawn this way depends neither on who else is simulated in the same batch nor on the order of the calls, and
two worlds with one seed share their luck. Keys are mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
"""

import hashlib
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

KEY_FACTOR = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR, SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_KEY, _FIRST, _SECOND, _30, _27, _31 = (
    np.array(number, np.uint64) for number in (KEY_FACTOR, FIRST_FACTOR, SECOND_FACTOR, 30, 27, 31)
)
"""Arrays of no dimension, which start faster than numbers."""


def bits(seed: int, purpose: str, *keys: np.ndarray) -> np.ndarray:
    """uint64, one for each combination of ``keys`` (integer arrays, 0 or more, that broadcast)."""
    return hashed(np.full(1, start(seed, purpose), np.uint64), *(np.asarray(key).astype(np.uint64) for key in keys))


def hashed(state: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """uint64: ``state`` after further ``keys``, both uint64, all broadcast."""
    for key in keys:
        product = key * _KEY
        product += _KEY
        state = _mixed(state + product)
    return state


def uniform(seed: int, purpose: str, *keys: np.ndarray) -> np.ndarray:
    """float64 in the open interval (0, 1), one for each combination of ``keys``."""
    return ((bits(seed, purpose, *keys) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(seed: int, purpose: str, *keys: np.ndarray) -> np.ndarray:
    """float64, standard normal, one for each combination of ``keys``."""
    return ndtri(uniform(seed, purpose, *keys))


def permuted(seed: int, purpose: str, number: np.ndarray, width: int) -> np.ndarray:
    """int64: a shuffling of all numbers of ``width`` bits (even, up to 62), at ``number`` [...].

    Each step can be undone modulo 2 ** width, so that no two numbers meet.
    """
    mask, half = np.uint64(2**width - 1), np.uint64(width // 2)
    state = (number.astype(np.uint64) + bits(seed, purpose)) & mask
    for factor in (FIRST_FACTOR, SECOND_FACTOR, KEY_FACTOR):
        state = (state ^ (state >> half)) * factor & mask
    return (state ^ (state >> half)).astype(np.int64)


@lru_cache(maxsize=1_024)
def start(seed: int, purpose: str) -> int:
    """The hash of a purpose before any key, below 2 ** 64."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little")


def _mixed(state: np.ndarray) -> np.ndarray:
    """``state``, in place."""
    high = state >> _30
    state ^= high
    state *= _FIRST
    state ^= np.right_shift(state, _27, out=high)
    state *= _SECOND
    state ^= np.right_shift(state, _31, out=high)
    return state
