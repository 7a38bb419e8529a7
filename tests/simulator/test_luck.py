"""Numbers as tensors are those of ``draws``, however their hash is cut into steps."""

import numpy as np
import torch

from newsrec.simulator import draws, luck

RNG = np.random.default_rng(0)
USER, DECISION = RNG.integers(0, 2**44, 5_000), RNG.integers(0, 2**20, 5_000)
COLUMN = torch.from_numpy(USER)[:, None], torch.from_numpy(DECISION)[:, None]


def test_a_number_is_the_same_bit_for_bit_whoever_hashes_it() -> None:
    keys = USER[:, None], DECISION[:, None], np.arange(7)
    both = luck.states(3, ("click", "stay"), *COLUMN)  # [2, B, 1]
    assert both.shape == (2, 5_000, 1)
    for state, purpose in zip(both, ("click", "stay"), strict=True):
        assert (luck.hashed(state, torch.arange(7)).numpy().view(np.uint64) == draws.bits(3, purpose, *keys)).all()
        assert (luck._hashed(state, torch.arange(7)) == luck.hashed(state, torch.arange(7))).all()  # another device's
        assert (luck.uniform(state, torch.arange(7)).numpy() == draws.uniform(3, purpose, *keys)).all()
        np.testing.assert_allclose(luck.normal(state, torch.arange(7)), draws.normal(3, purpose, *keys), rtol=1e-13)


def test_drawing_leaves_its_state_and_its_keys_as_they_are() -> None:
    (state,) = luck.states(3, ("click",), *COLUMN)
    before, first = state.clone(), luck.uniform(state)
    luck.uniform(state, torch.arange(3))
    assert (state == before).all()
    assert (luck.uniform(state) == first).all()
    assert (COLUMN[0][:, 0].numpy() == USER).all()
    assert luck.numbers(4, torch.device("cpu")).tolist() == [0, 1, 2, 3]


def test_a_permutation_is_the_same() -> None:
    for width in (12, 44):
        number = USER % 2**width
        expected = draws.permuted(5, "user", number, width)
        assert (luck.permuted(5, "user", torch.from_numpy(number), width).numpy() == expected).all()
