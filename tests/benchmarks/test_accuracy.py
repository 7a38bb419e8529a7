"""The benchmark of the rankers to beat: its protocols by hand, on little."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from benchmarks.accuracy import collaborative, interactions, peers, scale, sequences
from benchmarks.accuracy.interactions import Interactions, full_ranking, held_out, lists, slates
from benchmarks.kept import Kept, TimeOver
from newsrec.baselines import als
from newsrec.baselines.ease import Config, EaseLearner, EasePolicy
from newsrec.encoders.co_reading import gram
from newsrec.features import HISTORY_LENGTH
from newsrec.transitions import clicked

SMALL = Interactions(np.array([0, 1, 0, 1, 0, 0]), np.array([1, 2, 3, 1, 2, 4]), 2, 4)


def test_a_share_of_each_reader_is_held_out() -> None:
    reader = np.repeat([0, 1, 2], [8, 40, 1])
    held = held_out(reader, 0.25, np.random.default_rng(0))
    assert np.bincount(reader, held).tolist() == [2, 10, 0]
    assert held_out(reader, 0.25, np.random.default_rng(1)).tolist() != held.tolist()


def test_what_was_read_is_not_ranked() -> None:
    scores = np.array([[9.0, 5.0, 4.0, 3.0, 2.0], [9.0, 1.0, 2.0, 3.0, 4.0]])
    wanted = csr_array(np.array([[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]], np.float32))
    found = full_ranking(scores, [np.array([1]), np.array([2])], wanted)
    assert found[0] == pytest.approx(1 / np.log2(3)), "item 2 stands before 3; item 1 was read; 0 is no item"
    assert np.isnan(found[1]), "nothing was held out"


def test_policies_see_a_history_of_any_length() -> None:
    long = [np.arange(1, 81), np.arange(1, 3)]
    policy = EasePolicy(Config(neighbours=200), 90)
    weights = torch.zeros(91, 91)
    weights[80, 85] = 1.0  # the last read of the first reader alone speaks for 85
    policy.memory.keep(weights)  # type: ignore[operator, union-attr]
    wanted = np.zeros((2, 91), np.float32)
    wanted[:, 85] = 1.0
    first, second = full_ranking(policy, long, csr_array(wanted))
    assert len(long[0]) > HISTORY_LENGTH
    assert first == 1.0
    assert second < 1.0


def test_a_decision_a_reader_teaches_ease_the_matrix_that_it_is_solved_from_here() -> None:
    train = SMALL.matrix(np.ones(6, bool))
    whole = lists(train)
    policies = [EasePolicy(Config(penalty=1.0), 4) for _ in range(2)]
    policies[0].solve(gram(train, policies[0].config.reader_weight))
    learner = EaseLearner(policies[1], torch.Generator())
    learner.update(slates([one[:-1] for one in whole], [one[-1:] for one in whole], [one[:0] for one in whole]))
    learner.end_pass()
    for name in ("weight", "target"):
        torch.testing.assert_close(getattr(policies[0].memory, name), getattr(policies[1].memory, name))


def test_slates_hold_unread_items_and_clicks_that_are_not_in_the_history() -> None:
    generator = np.random.default_rng(0)
    dense = (generator.random((70, 31)) < 0.4).astype(np.float32)
    dense[:, 0] = 0.0
    train = csr_array(dense)
    seen = 0
    for batch in collaborative.batches(train, generator):
        seen += len(batch.slate)
        for row in range(len(batch.slate)):
            history = set(batch.state.history_index[row][batch.state.history_mask[row]].tolist())
            taken = clicked(batch)[row]
            offered = batch.candidates.article_index[row]
            clicks = set(offered[taken].tolist())
            others = set(offered[batch.slate_mask[row] & ~taken].tolist())
            reader = history | clicks
            assert not history & clicks
            assert reader in [set(items.tolist()) for items in lists(train)]
            assert not others & reader
            assert 0 not in others
    assert seen == 70


def test_bars_name_the_best_and_are_met_by_the_mean_of_seeds() -> None:
    found = collaborative.bars({"ease": [0.49, 0.48], "bpr": [0.45, 0.43], "als": [0.2, 0.3]})
    assert [(bar.name, round(bar.value or 0, 3), bar.met) for bar in found] == [
        ("nDCG@10 of best of ours (ease), 75/25", 0.485, True),
        ("nDCG@10 of bpr, 75/25", 0.44, False),
    ]


def test_the_last_read_of_each_reader_is_left_out() -> None:
    last = sequences._last(SMALL)
    assert np.flatnonzero(last).tolist() == [3, 5]
    found = sequences._sequences(SMALL, np.flatnonzero(~last))
    assert [history.tolist() for history in found] == [[1, 3, 2], [2]]


def test_windows_cover_a_long_history_in_order() -> None:
    history = np.arange(1, 131)
    (batch,) = sequences.windows([history], np.random.default_rng(3))
    found = [row[mask].tolist() for row, mask in zip(batch.state.history_index, batch.state.history_mask, strict=True)]
    assert all(len(window) <= HISTORY_LENGTH for window in found)
    assert all(np.diff(window).tolist() == [1] * (len(window) - 1) for window in found)
    assert len({item for window in found for item in window}) >= 129


def test_synthetic_readers_read_nothing_twice_and_popular_items_most() -> None:
    size = scale.Size(readers=400, articles=100, reads=4_000)
    found = scale.synthetic(size, np.random.default_rng(0))
    assert found.nnz == 4_000
    assert found.data.max() == 1.0
    count = np.asarray(found.sum(0)).ravel()
    assert count[0] == 0
    assert count[1:11].sum() > 2 * count[91:].sum()


def test_the_quick_run_of_speed_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PYTHON", peers.ROOT / "nowhere")
    part = scale.measured(scale.QUICK, progress=lambda line: None)
    assert [bar.met for bar in part.bars[:3]] == [True, True, True]
    assert part.bars[3].value is None
    assert "make rectools" in part.bars[3].bar


def test_the_quick_run_of_accuracy_runs(real_data, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    real_data("ml-100k")
    monkeypatch.setattr(peers, "PYTHON", peers.ROOT / "nowhere")
    part = collaborative.measured(collaborative.QUICK, None, lambda line: None, ["ease", "lightgcn"])
    assert set(part.figures["collaborative"]["ours"]) == {"ease", "lightgcn"}
    assert min(part.figures["collaborative"]["ours"]["ease"]["test"]) > 0.3
    data = interactions.ml_100k()
    assert data is not None
    assert (len(data.reader), data.readers, data.items) == (100_000, 943, 1_682)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    made = []

    def work() -> dict[str, Any]:
        made.append(1)
        return {"ndcg": [0.25], "turn": len(made)}

    first = Kept(tmp_path)
    assert first.of("ease-0", [1, 2], work) == {"ndcg": [0.25], "turn": 1}
    again = Kept(tmp_path, hours=0.0, began=0.0)
    assert again.of("ease-0", [1, 2], work) == {"ndcg": [0.25], "turn": 1}, "also where the slice is over"
    assert (again.commits, again.cpu_seconds) == (first.commits, first.cpu_seconds)
    assert Kept(tmp_path).of("ease-0", [1, 3], work)["turn"] == 2, "of other settings"
    assert Kept(tmp_path).of("ease-1", [1, 2], work)["turn"] == 3, "of another piece"
    with pytest.raises(TimeOver, match="ease-2"):
        again.of("ease-2", [1, 2], work)
    assert len(made) == 3
    for turn in (4, 5):
        assert Kept(tmp_path).of("half", [], work, whole=False)["turn"] == turn, "what lacks something is not kept"


def test_a_run_in_slices_finds_the_pieces_of_the_one_before(
    real_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    real_data("ml-100k")
    monkeypatch.setattr(peers, "PYTHON", peers.ROOT / "nowhere")
    whole = collaborative.measured(collaborative.QUICK, Kept(tmp_path), lambda line: None, ["ease"])
    over = Kept(tmp_path, hours=0.0, began=0.0)
    with pytest.raises(TimeOver, match="collaborative-als-0"):
        collaborative.measured(collaborative.QUICK, over, lambda line: None, ["ease", "als"])
    monkeypatch.setattr(collaborative, "contender", lambda *about: pytest.fail("done again"))
    assert collaborative.measured(collaborative.QUICK, Kept(tmp_path), lambda line: None, ["ease"]) == whole


def test_the_loss_of_als_counts_what_was_not_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    read = (generator.random((7, 5)) < 0.4).astype(np.float32)
    x, y = (generator.standard_normal((count, 3)).astype(np.float32) for count in (7, 5))
    config = als.Config(width=3, confidence=4.0, penalty=0.5)
    by_hand = ((1 + 4.0 * read) * (read - x @ y.T) ** 2).sum() + 0.5 * ((x**2).sum() + (y**2).sum())
    monkeypatch.setattr(scale, "ROWS", 3)
    assert scale.loss(csr_array(read), x, y, config) == pytest.approx(by_hand, rel=1e-5)


def test_a_peer_is_chosen_on_validation_and_fitted_again_to_all_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    read = [generator.choice(np.arange(1, 40), 24, replace=False) for _ in range(30)]
    data = Interactions(np.repeat(np.arange(30), 24), np.concatenate(read), 30, 39)
    rows = collaborative.split(data, 0)
    wanted = {len(rows.kept): data.matrix(rows.aside).toarray(), len(rows.train): data.matrix(rows.test).toarray()}
    asked = []

    def factors(train: csr_array, name: str, settings: list[dict[str, Any]], seed: int) -> list[np.ndarray]:
        asked.append((train.nnz, settings))
        return [(1.0 if one == peers.TRIED["als"][2] else -1.0) * wanted[train.nnz] for one in settings]

    monkeypatch.setattr(peers, "factors", factors)
    found = collaborative.peer(data, rows, "als", 0)
    assert asked == [(len(rows.kept), peers.TRIED["als"]), (len(rows.train), [peers.TRIED["als"][2]])]
    assert (found["validation"], found["test"]) == pytest.approx((1.0, 1.0))
    assert found["setting"] == str(peers.TRIED["als"][2])
