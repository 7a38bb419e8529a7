"""The log of a simulated world: what a recommender and a collector would have written down, nothing hidden."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.events import CONTEXT, KINDS, SCHEMAS, TIME
from newsrec.features import feature_hash
from newsrec.simulator.identity import digits, ids
from newsrec.simulator.readers import DEVICES, PLACES
from newsrec.simulator.response import Feedback
from newsrec.simulator.world import World


class Decision(NamedTuple):
    """B decisions. Articles are rows of the newsroom, -1 behind the end."""

    reader: np.ndarray  # [B] int64, row of the world
    user: np.ndarray  # [B] int64, who that is to the site
    number: np.ndarray  # [B] int64, the user's decisions counted from 0
    visit: np.ndarray  # [B] int64, the user's visits counted from 0
    time: np.ndarray  # [B] int64, microseconds
    device: np.ndarray  # [B] int64, row of DEVICES
    candidates: np.ndarray  # [B, C] int32
    slate: np.ndarray  # [B, K] int32
    propensities: np.ndarray  # [B, K] float64


class Recorder:
    """Collects the decisions of one world and what followed, and hands them out from time to time."""

    def __init__(self, world: World, policy_name: str) -> None:
        self._config = world.config
        self._place, self._utc_offset = (x.cpu().numpy() for x in (world.population.place, world.population.utc_offset))
        self._article_ids = world.newsroom.table["article_id"].combine_chunks()
        self._policy_name = policy_name
        self._decisions: list[Decision] = []
        self._feedback: list[Feedback] = []

    def record(self, decision: Decision, feedback: Feedback) -> None:
        self._decisions.append(decision)
        self._feedback.append(feedback)

    def until(self, end: int) -> tuple[pa.Table, pa.Table]:
        """The recommendations made since the last call and the feedback arrived since, each in order of time.

        All decisions before ``end`` have been recorded and none after it. What arrives later waits for the next call.
        """
        feedback = Feedback.joined(self._feedback)
        arrived = feedback.received < end
        tables = self._recommendation_table(), self._feedback_table(feedback.take(arrived))
        self._decisions, self._feedback = [], [feedback.take(~arrived)]
        return tables

    def _recommendation_table(self) -> pa.Table:
        if not self._decisions:
            return SCHEMAS["recommendations"].empty_table()
        d = Decision(*(np.concatenate(column) for column in zip(*self._decisions, strict=True)))
        order = np.lexsort((d.number, d.user, d.time))  # as by time and request_id
        d = Decision(*(column[order] for column in d))
        context = {
            "device": pa.array(DEVICES).take(pa.array(d.device)),
            "surface": _constant("front", d.reader),
            "locale": pa.array([locale for locale, _ in PLACES]).take(pa.array(self._place[d.reader])),
            "utc_offset_minutes": pa.array(self._utc_offset[d.reader], pa.int16()),
        }
        seed = self._config.seed
        columns = {
            "request_id": ids(seed, "r", d.user, d.number),
            "user_id": ids(seed, "u", d.user),
            "session_id": ids(seed, "v", d.user, d.visit),
            "time": pa.array(d.time).cast(TIME),
            "context": pa.StructArray.from_arrays([context[field.name] for field in CONTEXT], fields=list(CONTEXT)),
            "feature_version": _constant(feature_hash(), d.reader),
            "policy": _constant(self._policy_name, d.reader),
            "candidates": _lists(d.candidates >= 0, self._article_ids.take(pa.array(d.candidates[d.candidates >= 0]))),
            "slate": _lists(d.slate >= 0, self._article_ids.take(pa.array(d.slate[d.slate >= 0]))),
            "propensities": _lists(d.slate >= 0, pa.array(d.propensities[d.slate >= 0])),
        }
        return _table("recommendations", columns)

    def _feedback_table(self, f: Feedback) -> pa.Table:
        first = (np.diff(f.user, prepend=-1) != 0) | (np.diff(f.decision, prepend=-1) != 0)  # event of its slate
        order = np.lexsort((f.user, f.received))  # with the rest as it is, by received_at and event_id
        slate = pa.array((np.cumsum(first) - 1)[order])
        request = ids(self._config.seed, "r", f.user[first], f.decision[first]).take(slate)
        user = ids(self._config.seed, "u", f.user[first]).take(slate)
        f = f.take(order)
        none = f.article < 0
        columns = {
            "event_id": pc.binary_join_element_wise(request, digits(f.kind * 100 + f.position, 3), "-"),
            "request_id": request,
            "user_id": user,
            "article_id": self._article_ids.take(pa.array(f.article, mask=none)),
            "position": pa.array(f.position, pa.int16(), mask=none),
            "kind": pa.array(KINDS).take(pa.array(f.kind)),
            "dwell_seconds": pa.array(f.dwell_seconds, mask=np.isnan(f.dwell_seconds)),
            "time": pa.array(f.time).cast(TIME),
            "received_at": pa.array(f.received).cast(TIME),
        }
        return _table("feedback", columns)


def _constant(text: str, like: np.ndarray) -> pa.Array:
    return pa.repeat(text, len(like))


def _lists(mask: np.ndarray, values: pa.Array) -> pa.Array:
    """Row i holds as many of ``values`` as row i of ``mask`` has True."""
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(mask.sum(1))), pa.int32()), values)


def _table(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """The columns in the order of the schema ``name``; those that are not given are null."""
    rows, schema = len(next(iter(columns.values()))), SCHEMAS[name]
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in schema], schema=schema)
