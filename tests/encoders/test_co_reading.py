"""Rows and Gram matrices of batches, counted by hand."""

import numpy as np
import torch

from newsrec.encoders import co_reading
from newsrec.encoders.co_reading import CoReading
from tests.baselines.batches import batch, no_content


def test_rows_hold_what_was_read_and_clicked_and_known() -> None:
    found = batch([[1, 2, 2], [3], [0], [4]], [[3, 1], [1, 2], [0, 4], [2, 1]], [0, 1, 0, 0], no_content(4))
    feedback = found.feedback.clone()
    feedback[3] = 0.0  # no click: no row
    rows = co_reading.rows(found._replace(feedback=feedback), 4).toarray()
    assert rows.tolist() == [[0, 1, 1, 1, 0], [0, 0, 1, 1, 0]], "the third decision has nothing that is known"


def test_what_lies_behind_the_last_read_is_no_read() -> None:
    found = batch([[1], [2, 3]], [[4, 0], [4, 0]], [0, 0], no_content(4))
    dirty = found.state.history_index.clone()
    dirty[0, 1] = 3
    rows = co_reading.rows(found._replace(state=found.state._replace(history_index=dirty)), 4).toarray()
    assert rows[0].tolist() == [0, 1, 0, 0, 1]


def test_the_matrix_of_many_batches_is_that_of_all_rows(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(co_reading, "ROWS_TOGETHER", 3)
    rng = np.random.default_rng(0)
    batches = [
        batch(rng.integers(1, 5, (2, 3)).tolist(), rng.integers(1, 5, (2, 2)).tolist(), [0, 1], no_content(4))
        for _ in range(5)
    ]
    summed = CoReading(4, weight=0.5)
    for one in batches:
        summed.add(one)
    z = np.concatenate([co_reading.rows(one, 4).toarray() for one in batches])
    np.testing.assert_allclose(summed.take().toarray(), z.T @ (z / z.sum(1, keepdims=True) ** 0.5), rtol=1e-5)
    assert not summed.take().nnz, "a pass begins with nothing"


def test_a_batch_without_clicks_adds_nothing() -> None:
    found = batch([[1, 2]], [[3, 4]], [0], no_content(4))
    summed = CoReading(4, weight=1.0)
    summed.add(found._replace(feedback=torch.zeros_like(found.feedback)))
    assert not summed.take().nnz
