"""Under which number the site knows a reader, and the ids of the log. Who is behind a number is not in it."""

from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from newsrec.simulator import draws, luck

READER_BITS, CLEARING_BITS = 28, 16
USER_DIGITS = 14  # 2 ** 44 numbers


@overload
def user_number(seed: int, reader: np.ndarray, clearings: np.ndarray) -> np.ndarray: ...
@overload
def user_number(seed: int, reader: Tensor, clearings: Tensor) -> Tensor: ...
def user_number(seed: int, reader: np.ndarray | Tensor, clearings: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """int64 in [0, 2 ** 44): the user that ``reader`` (below 2 ** 28) is to the site after so many cleared cookies.

    No two are alike, and none tells of another.
    """
    number = (reader << CLEARING_BITS) + clearings % 2**CLEARING_BITS
    if isinstance(number, Tensor):
        return luck.permuted(seed, "user", number, READER_BITS + CLEARING_BITS)
    return draws.permuted(seed, "user", number, READER_BITS + CLEARING_BITS)


def ids(seed: int, letter: str, user: np.ndarray, number: np.ndarray | None = None) -> pa.Array:
    """``s0-r04711000000012-00003``: seed, what it is, user, number. One user's ids sort by number."""
    prefix = pa.repeat(f"s{seed}-{letter}", len(user))
    text = pc.binary_join_element_wise(prefix, digits(user, USER_DIGITS), "")
    return text if number is None else pc.binary_join_element_wise(text, digits(number, 5), "-")


def digits(number: np.ndarray, width: int) -> pa.Array:
    """Each ``number`` as text with leading zeros."""
    return pc.utf8_lpad(pa.array(number).cast(pa.string()), width, "0")
