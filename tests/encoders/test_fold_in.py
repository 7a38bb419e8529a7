"""Rows of a factorisation: the coordinates that they are solved in, and how few steps that takes."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from newsrec.encoders.fold_in import Factorization, coordinates, fold_in, solved

CONFIDENCE, PENALTY = 10.0, 2.0


@pytest.fixture
def table() -> np.ndarray:
    """[300, 16]: a few directions hold most of it, as in factors that were trained."""
    generator = np.random.default_rng(0)
    return (generator.standard_normal((300, 16)) / np.arange(1, 17)).astype(np.float32)


@pytest.fixture
def read() -> csr_array:
    """[60, 300]: some articles are read often, most hardly; readers of 0 to 80 reads."""
    generator = np.random.default_rng(1)
    chance = np.outer(np.linspace(0.0, 2.0, 60), np.arange(1, 301) ** -0.5)
    return csr_array((generator.random((60, 300)) < chance).astype(np.float32))


def test_what_rows_share_is_the_identity_and_what_they_read_is_diagonal(table: np.ndarray) -> None:
    count = np.arange(300)
    basis, spread = coordinates(table, count, PENALTY)
    shared, seen = table.T @ table + PENALTY * np.eye(16), table.T @ (count[:, None] * table) / count.sum()
    np.testing.assert_allclose(basis.T @ shared @ basis, np.eye(16), atol=1e-4)
    np.testing.assert_allclose(basis.T @ seen @ basis, np.diag(spread), atol=1e-6)


def test_articles_that_nobody_read_leave_the_spread_at_zero(table: np.ndarray) -> None:
    assert not coordinates(table, np.zeros(300), PENALTY).spread.any()


def test_two_steps_come_nearer_than_three_of_plain_conjugate_gradients(table: np.ndarray, read: csr_array) -> None:
    dense, wide = read.toarray().astype(float), table.astype(float)
    matrices = wide.T @ wide + PENALTY * np.eye(16) + CONFIDENCE * np.einsum("rn,ni,nj->rij", dense, wide, wide)
    wanted = (1 + CONFIDENCE) * dense @ wide
    exact = np.linalg.solve(matrices, wanted[..., None])[..., 0]

    def missing(found: np.ndarray) -> float:
        """What the loss is above the least one, over all rows."""
        return float(np.einsum("ri,rij,rj->", found - exact, matrices, found - exact))

    plain, rest = np.zeros_like(wanted), wanted.copy()
    direction = rest.copy()
    for _ in range(3):
        ahead = np.einsum("rij,rj->ri", matrices, direction)
        far = (rest**2).sum(1) / np.maximum((direction * ahead).sum(1), 1e-30)
        plain += far[:, None] * direction
        before, rest = (rest**2).sum(1), rest - far[:, None] * ahead
        direction = rest + ((rest**2).sum(1) / np.maximum(before, 1e-30))[:, None] * direction
    two, eight = (solved(read, table, Factorization(CONFIDENCE, PENALTY, steps)) for steps in (2, 8))
    assert 0.0 <= missing(two) < 0.1 * missing(plain)
    assert missing(eight) < 1e-3 * missing(two)
    basis, spread = coordinates(table, dense.sum(0), PENALTY)
    vectors, length = (dense[..., None] * (table @ basis)).astype(np.float32), dense.sum(1).astype(np.float32)
    blind = fold_in(vectors, length, 0 * spread, Factorization(CONFIDENCE, PENALTY, 2)) @ basis.T
    assert missing(two) < 0.8 * missing(blind), "what a row of its length reads was not divided out"


def test_padding_and_rows_of_nothing_change_nothing() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((1, 3, 4)).astype(np.float32)
    padded = np.zeros((2, 6, 4), np.float32)
    padded[0, :3] = vectors[0]
    spread, solve = np.full(4, 0.2, np.float32), Factorization(CONFIDENCE, PENALTY, 2)
    alone = fold_in(vectors, np.array([3], np.float32), spread, solve)
    both = fold_in(padded, np.array([3, 0], np.float32), spread, solve)
    np.testing.assert_allclose(both[:1], alone, rtol=1e-5)
    assert not both[1].any()
    assert fold_in(padded[:, :0], np.zeros(2, np.float32), spread, solve).tolist() == [[0.0] * 4] * 2
