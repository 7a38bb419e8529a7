"""Logs in shards: the rows of one in memory, the same bytes from any number of processes, whole or not at all."""

import multiprocessing
import os
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from newsrec import events
from newsrec.events import EventLog
from newsrec.policy import mask_scores
from newsrec.simulator import shards
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State

CONFIG = SimulationConfig(
    readers=50,
    days=4,
    articles_per_day=40,
    slate_size=6,
    candidates=50,
    population=PopulationConfig(visits_per_day=1.5),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of seventeen readers."""
    monkeypatch.setattr(shards, "READERS_TOGETHER", 17)


class Popular:
    """Prefers what others clicked."""

    config = None

    def scores(self, state: State, candidates: Candidates) -> Tensor:
        return mask_scores(candidates.popularity[..., 1] * torch.ones(candidates.mask.shape), candidates)


def files(log: Path) -> dict[str, bytes]:
    return {str(path.relative_to(log)): path.read_bytes() for path in sorted(log.rglob("*.parquet")) if path.is_file()}


def in_order(log: EventLog) -> EventLog:
    return log._replace(
        recommendations=log.recommendations.sort_by([("time", "ascending"), ("request_id", "ascending")]),
        feedback=log.feedback.sort_by([("received_at", "ascending"), ("event_id", "ascending")]),
    )


def same(a: EventLog, b: EventLog) -> bool:
    return all(getattr(a, name).equals(getattr(b, name)) for name in events.SCHEMAS)


def test_shards_hold_the_rows_of_the_log_in_memory(tmp_path: Path) -> None:
    written, expected = shards.write(CONFIG, tmp_path / "log"), simulate(CONFIG)
    found = events.read(tmp_path / "log")
    assert same(in_order(found), EventLog(*(events.conform(getattr(expected, n), n) for n in events.SCHEMAS)))
    kinds = expected.feedback["kind"].to_pylist()
    assert written == shards.Written(
        articles=expected.articles.num_rows,
        decisions=expected.recommendations.num_rows,
        users=len(set(expected.recommendations["user_id"].to_pylist())),
        events=len(kinds),
        impressions=kinds.count("impression"),
        clicks=kinds.count("click"),
    )
    assert len(files(tmp_path / "log")) == 1 + 2 * 3


def test_a_file_holds_text_whatever_it_was_written_from(tmp_path: Path) -> None:
    shards.write(CONFIG, tmp_path / "log")
    for name in ("recommendations", "feedback"):
        file = pq.ParquetFile(tmp_path / "log" / f"{name}.parquet" / "00000.parquet")
        assert [field.nullable for field in file.schema_arrow] == [field.nullable for field in events.SCHEMAS[name]]
        for field, expected in zip(file.schema_arrow, events.SCHEMAS[name], strict=True):
            assert field.name == expected.name
            assert str(field.type).replace("element:", "item:") == str(expected.type)


def test_what_comes_again_is_stored_by_a_dictionary_and_no_memory_that_nobody_wrote(tmp_path: Path) -> None:
    """A dictionary with a value twice makes Parquet fall back to text and write a byte that was never set."""
    shards.write(CONFIG, tmp_path / "log")
    group = pq.ParquetFile(tmp_path / "log" / "recommendations.parquet" / "00000.parquet").metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    coded = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert {"context.locale", "context.device", "policy", "slate.list.element"} <= coded
    assert {c.path_in_schema for c in columns if "RLE_DICTIONARY" in c.encodings} == coded


def test_memory_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard is written in row groups of a day or some, which follow each other in time."""
    monkeypatch.setattr(shards, "DECISIONS_TOGETHER", 40)
    shards.write(CONFIG, tmp_path / "log")
    shard = pq.ParquetFile(tmp_path / "log" / "recommendations.parquet" / "00000.parquet")
    groups = [shard.read_row_group(number, ["time"])["time"].to_pylist() for number in range(shard.num_row_groups)]
    assert len(groups) > 1
    assert groups == [sorted(group) for group in groups]
    assert all(a[-1].date() < b[0].date() for a, b in pairwise(groups))
    for group in groups:
        assert sum(time.date() < group[-1].date() for time in group) < 40


def test_any_number_of_processes_writes_the_same_bytes(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    alone = shards.write(CONFIG, tmp_path / "1")
    shared = shards.write(CONFIG, tmp_path / "2", workers=2, progress=lambda done, total: steps.append((done, total)))
    assert shared == alone
    assert files(tmp_path / "1") == files(tmp_path / "2")
    assert steps == [(day, 12) for day in range(1, 13)]


def test_the_readers_of_a_policy_share_what_is_popular_and_a_shard(tmp_path: Path) -> None:
    actor = Actor(Popular(), SlateConfig("plackett_luce"), "popular")
    shards.write(CONFIG, tmp_path / "log", actor, workers=2)
    found, expected = events.read(tmp_path / "log"), simulate(CONFIG, actor)
    assert same(found, EventLog(*(events.conform(getattr(expected, n), n) for n in events.SCHEMAS)))
    assert len(files(tmp_path / "log")) == 3


def test_a_killed_process_ends_all_and_leaves_the_older_log(tmp_path: Path) -> None:
    shards.write(replace(CONFIG, days=1), tmp_path / "log")
    before = files(tmp_path / "log")

    def kill(done: int, total: int) -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(ChildProcessError, match="ended with exit code -9"):
        shards.write(replace(CONFIG, days=100), tmp_path / "log", workers=2, progress=kill)
    assert not multiprocessing.active_children()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert files(tmp_path / "log") == before


def test_what_is_no_log_is_kept(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(FileExistsError, match="is no event log"):
        shards.write(CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
