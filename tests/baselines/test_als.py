"""ALS against the equations of the paper, solved with NumPy."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from newsrec.baselines.als import AlsLearner, AlsPolicy, Config, Factors
from newsrec.encoders import fold_in
from newsrec.encoders.fold_in import Factorization, solved
from tests.baselines.batches import batch, no_content

READ = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], np.float32)
EXACT = Factorization(confidence=5.0, penalty=0.3, steps=20)


def by_hand(read: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Eq. 4 for each row, with an inverse."""
    found = []
    for row in read:
        confidence = 1.0 + EXACT.confidence * row
        matrix = table.T @ (confidence[:, None] * table) + EXACT.penalty * np.eye(table.shape[1])
        found.append(np.linalg.solve(matrix, table.T @ (confidence * row)))
    return np.stack(found)


@pytest.fixture
def table() -> np.ndarray:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).numpy()


@pytest.mark.parametrize("cells", [1, 4, 10_000])
def test_rows_solve_their_equations_in_blocks_of_any_size(
    table: np.ndarray, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_in, "CELLS", cells)
    found = solved(csr_array(READ), table, EXACT)
    np.testing.assert_allclose(found, by_hand(READ, table.astype(float)), atol=1e-4)


def test_a_good_start_needs_no_step_and_a_bad_one_is_left_behind(table: np.ndarray) -> None:
    answer = solved(csr_array(READ), table, EXACT)
    again = solved(csr_array(READ), table, EXACT._replace(steps=0), answer)
    np.testing.assert_allclose(again, answer, atol=1e-5)
    far = solved(csr_array(READ), table, EXACT, answer + 3.0)
    np.testing.assert_allclose(far, answer, atol=1e-4)


def test_turns_lower_the_loss_to_where_it_stays() -> None:
    torch.manual_seed(0)
    config = Config(width=2, confidence=EXACT.confidence, penalty=EXACT.penalty, training_steps=20)
    policy = AlsPolicy(config, 4)
    assert isinstance(policy.memory, Factors)
    found, readers = [], None
    for _ in range(12):
        readers = policy.turn(csr_array(READ), readers)
        x, y = readers.astype(float), policy.memory.table.double().numpy()
        error = ((1 + EXACT.confidence * READ) * (READ - x @ y.T) ** 2).sum()
        found.append(error + EXACT.penalty * ((x**2).sum() + (y**2).sum()))
    assert all(later <= earlier + 1e-4 for earlier, later in pairwise(found))
    assert found[-1] < 0.9 * found[0]


def test_a_turn_begins_where_readers_were_and_knows_how_often_articles_are_read() -> None:
    torch.manual_seed(0)
    policy = AlsPolicy(Config(width=3, confidence=5.0, penalty=0.3, training_steps=1), 4)
    assert isinstance(policy.memory, Factors)
    exact = by_hand(READ, policy.memory.table.double().numpy())
    np.testing.assert_allclose(policy.turn(csr_array(READ), exact.astype(np.float32)), exact, atol=1e-4)
    expected = fold_in.coordinates(policy.memory.table.numpy(), READ.sum(0), 0.3)
    np.testing.assert_allclose(policy.memory.spread, expected.spread, rtol=1e-6)


def test_a_request_folds_in_what_was_read_until_now() -> None:
    torch.manual_seed(0)
    policy = AlsPolicy(Config(width=3, confidence=5.0, penalty=0.3, steps=20, strength=2.0), 4)
    learner = AlsLearner(policy, torch.Generator())
    learner.update(batch([[1], [2, 3]], [[3, 4], [4, 1]], [0, 0], no_content(4)))
    learner.end_pass()
    asked = batch([[1, 3], []], [[2, 4], [2, 4]], [0, 0], no_content(4))
    with torch.inference_mode():
        found = policy.scores(asked.state, asked.candidates).numpy()
    assert isinstance(policy.memory, Factors)
    table = policy.memory.table.double().numpy()
    reader = by_hand(np.array([[0, 1, 0, 1, 0]]), table)[0]
    np.testing.assert_allclose(found[0] - found[1], 2.0 * table[[2, 4]] @ reader, atol=1e-3)


def test_refuses_impossible_configurations() -> None:
    with pytest.raises(ValueError, match=r"penalty is 0.0, expected more than 0"):
        Config(penalty=0.0)
    with pytest.raises(ValueError, match="width is 0, expected 1 or more"):
        Config(width=0)
