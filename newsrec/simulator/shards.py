"""A simulated log straight to disk: neither its length nor the number of readers has to fit into memory.

Where every slate is as likely as any other, readers do not influence each other: each shard is the log of some of them,
and processes share the shards out. The readers of a policy share the popularity of articles: they are one shard. The
log is the same, byte for byte, whatever the number of processes, and holds the rows of ``rollout.simulate``.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from newsrec import events
from newsrec.config import InvalidConfig
from newsrec.encoders.text import embed_articles
from newsrec.simulator.articles import Newsroom
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.recorder import CODED_SCHEMAS
from newsrec.simulator.rollout import RANDOM, Actor, coded_days
from newsrec.simulator.world import World, found

READERS_TOGETHER = 5_000
"""Most readers of a shard."""
DECISIONS_TOGETHER = 16_384
"""Of a row group, at the least; more where a day of a shard has more."""
_CODED = {
    "recommendations": [
        "context.device",
        "context.surface",
        "context.locale",
        "context.utc_offset_minutes",
        "feature_version",
        "policy",
        "candidates.list.element",
        "slate.list.element",
    ],
    "feedback": ["user_id", "article_id", "position", "kind"],
}
"""Columns whose values come again and again."""


class Written(NamedTuple):
    """What a log, or a part of one, holds."""

    articles: int = 0
    decisions: int = 0
    users: int = 0
    events: int = 0
    impressions: int = 0
    clicks: int = 0

    def plus(self, other: "Written") -> "Written":
        return Written(*(a + b for a, b in zip(self, other, strict=True)))


def write(
    config: SimulationConfig,
    directory: str | Path,
    actor: Actor = RANDOM,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    device: torch.device | str = "cpu",
) -> Written:
    """Write the log of ``config`` in which ``actor`` chose the slates as the folder ``directory``, whole or not at all.

    Each of up to ``workers`` processes holds the readers of one shard and a row group at a time. ``progress`` is called
    with the days done, each shard's own, and their number. The readers live on ``device``. Raises InvalidConfig for a
    log without any decision, FileExistsError as ``events.write``, and ChildProcessError where a process ends too early.
    """
    device = found(device)
    groups = np.array_split(np.arange(config.readers), -(-config.readers // READERS_TOGETHER))
    shards = list(enumerate(groups if actor.policy is None else [np.arange(config.readers)]))
    workers, done = min(workers, len(shards)), 0
    with events.new_log(directory) as folder, ExitStack() as stack:
        newsroom = World(config, number=np.arange(1)).newsroom
        for name in _CODED:
            (folder / f"{name}.parquet").mkdir()
        processes = (
            stack.enter_context(_started(config, newsroom, shards, folder, workers, device)) if workers > 1 else {}
        )
        articles = events.validate(embed_articles(newsroom.table), "articles")
        pq.write_table(articles.replace_schema_metadata(events.metadata("articles")), folder / "articles.parquet")
        written = Written(articles=articles.num_rows)
        here = (
            day
            for number, readers in shards
            for day in _write_shard(
                World(config, number=readers, newsroom=newsroom, device=device), articles, actor, number, folder
            )
        )
        for day in _told(processes) if processes else here:
            written, done = written.plus(day), done + 1
            if progress:
                progress(done, config.days * len(shards))
        if not written.decisions:
            asked = f"{config.readers} readers asked for nothing in {config.days} days"
            raise InvalidConfig(f"simulation: {asked}; expected more readers, days or population.visits_per_day")
    return written


def _write_shard(world: World, articles: pa.Table, actor: Actor, number: int, folder: Path) -> Iterator[Written]:
    """Write the log of the readers of ``world``, shard ``number``, day by day."""
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(folder, name, number)) for name in _CODED]
        waiting: list[tuple[pa.Table, ...]] = []
        for day in coded_days(world, articles, actor):
            waiting.append(day)
            if sum(recommendations.num_rows for recommendations, _ in waiting) >= DECISIONS_TOGETHER:
                _flush(writers, waiting)
            yield _counted(*day)
        _flush(writers, waiting)


def _writer(folder: Path, name: str, number: int) -> pq.ParquetWriter:
    path, schema = folder / f"{name}.parquet" / f"{number:05d}.parquet", CODED_SCHEMAS[name]
    writer = pq.ParquetWriter(
        path,
        schema,
        use_dictionary=_CODED[name],
        write_statistics=[field.name for field in schema if not pa.types.is_nested(field.type)],
        store_schema=False,  # read as text
    )
    writer.add_key_value_metadata(events.metadata(name))
    return writer


def _flush(writers: list[pq.ParquetWriter], waiting: list[tuple[pa.Table, ...]]) -> None:
    for writer, tables in zip(writers, zip(*waiting, strict=True), strict=False):
        table = pa.concat_tables(tables).unify_dictionaries()
        writer.write_table(table, max(1, table.num_rows))
    waiting.clear()


def _counted(recommendations: pa.Table, feedback: pa.Table) -> Written:
    kinds = feedback["kind"]
    first = pc.ends_with(recommendations["request_id"], "-00000")  # each user has one
    impressions, clicks = (pc.sum(pc.equal(kinds, kind)).as_py() or 0 for kind in ("impression", "click"))
    return Written(0, recommendations.num_rows, pc.sum(first).as_py() or 0, feedback.num_rows, impressions, clicks)


@contextmanager
def _started(
    config: SimulationConfig,
    newsroom: Newsroom,
    shards: list[tuple[int, np.ndarray]],
    folder: Path,
    workers: int,
    device: torch.device,
) -> Iterator[dict[Connection, BaseProcess]]:
    """As many processes, which share ``shards`` and end with the block, by the pipes through which they tell."""
    context = multiprocessing.get_context("spawn")  # a fork would take over locks of threads that it does not have
    processes: dict[Connection, BaseProcess] = {}
    try:
        for worker in range(workers):
            here, there = context.Pipe(duplex=False)
            work = config, newsroom, shards[worker::workers], folder, device, there
            processes[here] = context.Process(target=_work, args=work, daemon=True)
            processes[here].start()
            there.close()
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
            process.join()


def _told(processes: dict[Connection, BaseProcess]) -> Iterator[Written]:
    """The days that ``processes`` have written, as they write them."""
    listening = dict(processes)
    while listening:
        ready = wait(list(listening))
        for pipe in [here for here in listening if here in ready]:
            try:
                yield pipe.recv()
            except EOFError:
                process = listening.pop(pipe)
                process.join()
                if code := process.exitcode:
                    raise ChildProcessError(f"a process that simulated ended with exit code {code}") from None


def _work(
    config: SimulationConfig,
    newsroom: Newsroom,
    shards: list[tuple[int, np.ndarray]],
    folder: Path,
    device: torch.device,
    news: Connection,
) -> None:
    """Write ``shards`` and tell of every day; in a process of its own, which ends when nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    for number, readers in shards:
        world = World(config, number=readers, newsroom=newsroom, device=device)
        for day in _write_shard(world, newsroom.table, RANDOM, number, folder):
            news.send(day)
