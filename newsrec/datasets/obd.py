"""Open Bandit Dataset (Saito et al. 2020, https://research.zozo.com/data.html) to events.

A folder per behaviour policy, ``random`` and ``bts``, holds one campaign's ``.csv`` and ``item_context.csv``. Each row
is one of the three places of a page, and nothing says which rows were one page: so each row is a decision with a slate
of one article, its place kept in the feedback, out of all items of the campaign, with the propensity as logged.

- Nothing says who the reader was either: each row is a reader of its own (NO_READER_IDS), so policies can be evaluated
  on these logs, not returns. The hashed features of readers and items differ from file to file and are left out.
- A click follows its impression by a second. The catalogue is complete from the log's first moment.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec.datasets import delimited, foreign
from newsrec.datasets.delimited import TextTable
from newsrec.events import FIRST_SIGHT, NO_READER_IDS, TIME, EventLog, InvalidEvents, microseconds

POLICIES = ("random", "bts")
COLUMNS = ("timestamp", "item_id", "position", "click", "propensity_score")
PLACES = ("1", "2", "3")


def read(path: str | Path) -> EventLog:
    """The log in ``path``: the folders ``random`` and ``bts`` in it, or ``path`` itself where it is one of them.

    The policy's name is its folder's. Raises InvalidEvents, FileNotFoundError.
    """
    path = Path(path)
    folders = (
        [path] if (path / "item_context.csv").exists() else [p for p in map(path.joinpath, POLICIES) if p.is_dir()]
    )
    if not folders:
        raise FileNotFoundError(f"{path}: expected the folders random and bts, or one folder with item_context.csv")
    items = [delimited.read(f / "item_context.csv", ",", quoted=True, only=["item_id"])["item_id"] for f in folders]
    parts = [_decisions(folder, ids) for folder, ids in zip(folders, items, strict=True)]
    decided = pa.concat_tables(decisions for decisions, _ in parts)
    ids = pc.unique(pa.concat_arrays(items))
    start = pa.repeat(pa.scalar(microseconds(decided["time"]).min()), len(ids)).cast(TIME)
    described = pa.table({"article_id": ids, "published_at": start})
    happened = pa.concat_tables(feedback for _, feedback in parts)
    return foreign.event_log(described, decided, happened, {FIRST_SIGHT, NO_READER_IDS})


def _decisions(folder: Path, items: pa.Array) -> tuple[pa.Table, pa.Table]:
    """The recommendations that the policy of ``folder`` made, and their feedback."""
    table = _campaign(folder)
    table.check("item_id", pc.is_in(table["item_id"], value_set=items), "an item of item_context.csv")
    table.check("position", pc.is_in(table["position"], value_set=pa.array(PLACES)), "1, 2 or 3")
    table.check("click", pc.is_in(table["click"], value_set=pa.array(["0", "1"])), "0 or 1")
    time = microseconds(table.cast("timestamp", TIME, "a time such as 2019-11-24 00:01:03.979311+00:00"))
    propensity = table.cast("propensity_score", pa.float64(), "a number")
    good = pc.and_(pc.greater(propensity, 0.0), pc.less_equal(propensity, 1.0))
    table.check("propensity_score", good, "a probability in (0, 1]")
    rows = np.arange(len(time))
    everything = items.take(pa.array(np.tile(np.arange(len(items)), len(rows))))
    request = foreign.numbered(pa.repeat(folder.name, len(rows)), rows)
    columns = {
        "request_id": request,
        "user_id": request,
        "session_id": request,
        "policy": pa.repeat(folder.name, len(rows)),
        "candidates": foreign.lists(np.repeat(rows, len(items)), everything, len(rows)),
        "slate": foreign.lists(rows, table["item_id"], len(rows)),
        "propensities": foreign.lists(rows, propensity, len(rows)),
    }
    decided = foreign.recommendations(columns, time, {"surface": pa.repeat("front", len(rows))})
    place = pc.index_in(table["position"], value_set=pa.array(PLACES))
    clicked = np.flatnonzero(pc.equal(table["click"], "1").to_numpy(zero_copy_only=False))
    number, happened = np.zeros_like(rows), []
    for kind, of, delay in (("impression", rows, 0), ("click", clicked, foreign.CLICK_AFTER)):
        article, position = table["item_id"].take(pa.array(of)), place.take(pa.array(of))
        happened.append(foreign.feedback(kind, decided, of, number[of], article, time[of] + delay, position=position))
    return decided, pa.concat_tables(happened)


def _campaign(folder: Path) -> TextTable:
    found = [file for file in sorted(folder.glob("*.csv")) if file.name != "item_context.csv"]
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InvalidEvents(f"{folder}: found {names}, expected the .csv of one campaign beside item_context.csv")
    return delimited.read(found[0], ",", quoted=True, only=COLUMNS)
