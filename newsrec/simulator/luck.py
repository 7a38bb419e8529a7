"""The numbers of ``draws`` as tensors, on the device of their keys: same seed, purpose and keys, same number.

The hash of a number is taken key by key, so what several numbers have in common, such as user and decision, is hashed
once (``states``) and goes on from there. Tensors have no unsigned 64-bit arithmetic: products wrap around as signed
numbers, which have the same bits, and what a right shift copies of the sign is masked away. On the processor ``draws``
itself hashes the memory of the tensors, with fewer and quicker steps.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from newsrec.simulator import draws
from newsrec.simulator.draws import FIRST_FACTOR, KEY_FACTOR, SECOND_FACTOR, start


def states(seed: int, purposes: tuple[str, ...], *keys: Tensor) -> Tensor:
    """[P, ...] int64: the hash for each of ``purposes`` after ``keys`` (integers, 1 or more, that broadcast)."""
    state = _starts(seed, purposes, keys[0].device)
    return hashed(state.view(-1, *[1] * max(key.dim() for key in keys)), *keys)


def hashed(state: Tensor, *keys: Tensor) -> Tensor:
    """int64: ``state`` after further ``keys``, all broadcast."""
    if state.device.type == "cpu":
        unsigned = draws.hashed(*(x.numpy().view(np.uint64) for x in (state, *keys)))
        return torch.from_numpy(unsigned.view(np.int64)).to(state.device)
    return _hashed(state, *keys)


def _hashed(state: Tensor, *keys: Tensor) -> Tensor:
    """``hashed`` on any device."""
    for key in keys:
        state = _mix(torch.add(state, key, alpha=_KEY_FACTOR).add_(_KEY_FACTOR))
    return state


def uniform(state: Tensor, *keys: Tensor) -> Tensor:
    """float64 in the open interval (0, 1): ``draws.uniform`` of ``state`` and further ``keys``."""
    return _shifted(hashed(state, *keys), 12).double().add_(0.5).mul_(2.0**-52)


def normal(state: Tensor, *keys: Tensor) -> Tensor:
    """float64: ``draws.normal`` of ``state`` and further ``keys``."""
    return torch.special.ndtri(uniform(state, *keys))


def permuted(seed: int, purpose: str, number: Tensor, width: int) -> Tensor:
    """int64: ``draws.permuted`` of ``number`` [...]."""
    mask, half = 2**width - 1, width // 2
    state = (number + _starts(seed, (purpose,), number.device)) & mask
    for factor in (_FIRST_FACTOR, _SECOND_FACTOR, _KEY_FACTOR):
        state = (state ^ (state >> half)).mul_(factor).bitwise_and_(mask)
    return state ^ (state >> half)


@lru_cache(maxsize=1_024)
def numbers(count: int, device: torch.device) -> Tensor:
    """[count] int64, from 0 on; always the same tensor, which nobody changes."""
    return torch.arange(count, device=device)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


_KEY_FACTOR, _FIRST_FACTOR, _SECOND_FACTOR = (_signed(int(f)) for f in (KEY_FACTOR, FIRST_FACTOR, SECOND_FACTOR))


@lru_cache(maxsize=1_024)
def _starts(seed: int, purposes: tuple[str, ...], device: torch.device) -> Tensor:
    return torch.tensor([_signed(start(seed, purpose)) for purpose in purposes], device=device)


def _shifted(state: Tensor, by: int) -> Tensor:
    """A logical shift to the right."""
    return (state >> by).bitwise_and_((1 << (64 - by)) - 1)


def _mix(state: Tensor) -> Tensor:
    """``draws._mix``, in place."""
    state.bitwise_xor_(_shifted(state, 30)).mul_(_FIRST_FACTOR)
    state.bitwise_xor_(_shifted(state, 27)).mul_(_SECOND_FACTOR)
    return state.bitwise_xor_(_shifted(state, 31))
