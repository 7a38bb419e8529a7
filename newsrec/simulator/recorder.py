"""The log of a simulated world: what a recommender and a collector would have written down, nothing hidden.

What comes again and again, such as the ids of articles, is a dictionary array: stored as it is, and never made as text.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import CONTEXT, KINDS, SCHEMAS, TIME
from newsrec.features import feature_hash
from newsrec.simulator.config import LARGEST_SLATE
from newsrec.simulator.identity import ids
from newsrec.simulator.readers import DEVICES, PLACES
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import World

_TEXT = pa.dictionary(pa.int32(), pa.string())
_CONTEXT = pa.struct([field.with_type(_TEXT) if field.type == pa.string() else field for field in CONTEXT])
_CODED = {
    "recommendations": {
        "context": _CONTEXT,
        "feature_version": _TEXT,
        "policy": _TEXT,
        "candidates": pa.list_(_TEXT),
        "slate": pa.list_(_TEXT),
    },
    "feedback": {"article_id": _TEXT, "kind": _TEXT},
}
CODED_SCHEMAS = {
    name: pa.schema([field.with_type(coded.get(field.name, field.type)) for field in SCHEMAS[name]])
    for name, coded in _CODED.items()
}
"""Those of ``events``, with dictionary arrays."""
_LOCALES = list(dict.fromkeys(locale for locale, _ in PLACES))
_LOCALE_OF_PLACE = np.array([_LOCALES.index(locale) for locale, _ in PLACES])
_PLACE_IN_SLATE = pa.array([f"{number:03d}" for number in range(len(KINDS) * LARGEST_SLATE)])


class Decision(NamedTuple):
    """B decisions. Articles are rows of the newsroom, -1 behind the end."""

    reader: np.ndarray  # [B] int64, row of the world
    user: np.ndarray  # [B] int64, who that is to the site
    number: np.ndarray  # [B] int64, the user's decisions counted from 0
    visit: np.ndarray  # [B] int64, the user's visits counted from 0
    time: np.ndarray  # [B] int64, microseconds
    candidates: np.ndarray  # [B, C] int32
    slate: np.ndarray  # [B, K] int32
    propensities: np.ndarray  # [B, K] float64

    def take(self, rows: np.ndarray | slice) -> "Decision":
        return Decision(*(column[rows] for column in self))


class Recorder:
    """Collects the decisions of one world and what followed, and hands them out from time to time."""

    def __init__(self, world: World, policy_name: str) -> None:
        self._config, self._device = world.config, world.device
        self._place, self._utc_offset = (x.cpu().numpy() for x in (world.population.place, world.population.utc_offset))
        self._article_ids = world.newsroom.table["article_id"].combine_chunks()
        self._policy_name = policy_name
        self._decisions: list[Decision] = []
        self._feedback: list[Feedback] = []
        self._in_order = True
        """All that waits is one batch of decisions by time and one of feedback by arrival."""
        self._request = np.zeros(0, np.int64)
        """Of each event that waits, row of the two that follow."""
        self._request_id = self._user_id = pa.array([], pa.string())

    def record(self, decision: Decision, feedback: Feedback) -> None:
        self._decisions.append(decision)
        self._feedback.append(feedback)
        self._in_order = False

    def until(self, end: int) -> tuple[pa.Table, pa.Table]:
        """The recommendations made since the last call and the feedback arrived since, both before ``end`` and in order
        of time, in CODED_SCHEMAS.

        All decisions before ``end`` have been recorded. What is later waits for the next call.
        """
        if not self._in_order:
            self._put_in_order()
        if not self._decisions:
            return tuple(CODED_SCHEMAS[name].empty_table() for name in ("recommendations", "feedback"))
        (decisions,), (feedback,) = self._decisions, self._feedback
        made, arrived = np.searchsorted(decisions.time, end), np.searchsorted(feedback.received, end)
        tables = (
            self._recommendation_table(decisions.take(slice(made))),
            self._feedback_table(feedback.take(slice(arrived)), self._request[:arrived]),
        )
        self._decisions, self._feedback = [decisions.take(slice(made, None))], [feedback.take(slice(arrived, None))]
        self._request = self._request[arrived:]
        return tables

    def _put_in_order(self) -> None:
        d = Decision(*(np.concatenate(column) for column in zip(*self._decisions, strict=True)))
        self._decisions = [d.take(np.lexsort((d.number, d.user, d.time)))]  # as by time and request_id
        f, seed = Feedback.joined(self._feedback), self._config.seed
        first = (np.diff(f.user, prepend=-1) != 0) | (np.diff(f.decision, prepend=-1) != 0)  # event of its slate
        self._request_id = ids(seed, "r", f.user[first], f.decision[first])
        self._user_id = ids(seed, "u", f.user[first])
        order = _by_arrival(f)
        self._feedback, self._request = [f.take(order)], (np.cumsum(first) - 1)[order]
        self._in_order = True

    def _recommendation_table(self, d: Decision) -> pa.Table:
        seed, same = self._config.seed, np.zeros_like(d.user)
        context = {
            "device": _coded(self._device(d.reader, d.user, d.visit), DEVICES),
            "surface": _coded(same, ["front"]),
            "locale": _coded(_LOCALE_OF_PLACE[self._place[d.reader]], _LOCALES),
            "utc_offset_minutes": pa.array(self._utc_offset[d.reader], pa.int16()),
        }
        columns = {
            "request_id": ids(seed, "r", d.user, d.number),
            "user_id": ids(seed, "u", d.user),
            "session_id": ids(seed, "v", d.user, d.visit),
            "time": pa.array(d.time).cast(TIME),
            "context": pa.StructArray.from_arrays([context[field.name] for field in _CONTEXT], fields=list(_CONTEXT)),
            "feature_version": _coded(same, [feature_hash()]),
            "policy": _coded(same, [self._policy_name]),
            "candidates": self._lists(d.candidates),
            "slate": self._lists(d.slate),
            "propensities": pa.ListArray.from_arrays(_offsets(d.slate >= 0), pa.array(d.propensities[d.slate >= 0])),
        }
        return _table("recommendations", columns)

    def _feedback_table(self, f: Feedback, request: np.ndarray) -> pa.Table:
        """``request`` [M]: row of each event's ids."""
        none, at = f.article < 0, pa.array(request)
        request_id = self._request_id.take(at)
        place = _PLACE_IN_SLATE.take(pa.array(f.kind * LARGEST_SLATE + f.position))
        columns = {
            "event_id": pc.binary_join_element_wise(request_id, place, "-"),
            "request_id": request_id,
            "user_id": self._user_id.take(at),
            "article_id": self._articles(f.article),
            "position": pa.array(f.position, pa.int16(), mask=none),
            "kind": _coded(f.kind, KINDS),
            "dwell_seconds": pa.array(f.dwell_seconds, mask=np.isnan(f.dwell_seconds)),
            "time": pa.array(f.time).cast(TIME),
            "received_at": pa.array(f.received).cast(TIME),
        }
        return _table("feedback", columns)

    def _lists(self, articles: np.ndarray) -> pa.ListArray:
        """The ids of ``articles`` [B, C], without what is below 0."""
        there = articles >= 0
        return pa.ListArray.from_arrays(_offsets(there), self._articles(articles[there]))

    def _articles(self, rows: np.ndarray) -> pa.DictionaryArray:
        """The ids of ``rows``, null below 0. The dictionary goes from the oldest to the newest of them."""
        newest = int(rows.max(initial=-1))
        oldest = int(rows.min(where=rows >= 0, initial=newest + 1))
        return _coded(rows - oldest, self._article_ids[oldest : newest + 1], rows < 0)


def _by_arrival(f: Feedback) -> np.ndarray:
    """[M] by ``received`` and user, with the rest as it is: as by received_at and event_id."""
    count = len(f.received)
    since, bits = f.received - f.received.min(initial=0), count.bit_length()
    if int(since.max(initial=0)) < 1 << (63 - bits):
        order = np.sort(since << bits | np.arange(count)) & ((1 << bits) - 1)  # faster than to sort rows
        together = np.diff(since[order]) == 0
        if (np.diff(f.user[order])[together] >= 0).all():
            return order
    return np.lexsort((f.user, f.received))


def _coded(rows: np.ndarray, values: Sequence[str] | pa.Array, missing: np.ndarray | None = None) -> pa.DictionaryArray:
    """``values`` (each once, or Parquet falls back to plain text) at ``rows``, null where ``missing``."""
    at = pa.array(rows.astype(np.int32, copy=False), mask=missing)
    return pa.DictionaryArray.from_arrays(at, values if isinstance(values, pa.Array) else pa.array(values), safe=False)


def _offsets(mask: np.ndarray) -> pa.Array:
    """Those of lists that are as long as each row of ``mask`` has True."""
    return pa.array(np.append(0, np.cumsum(mask.sum(1))), pa.int32())


def _table(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """The columns in the order of the schema ``name``; those that are not given are null."""
    rows, schema = len(next(iter(columns.values()))), CODED_SCHEMAS[name]
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in schema], schema=schema)
