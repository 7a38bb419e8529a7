"""One logged request explained: what a policy would serve there, which reads drove each article, and why it moved."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from newsrec import config, dataset
from newsrec.artifact import Artifact
from newsrec.config import InvalidConfig
from newsrec.decisions import Decisions
from newsrec.encoders.slate_value import SlateValueScorer
from newsrec.evaluation.explanation import METHODS, read_attributions
from newsrec.evaluation.moves import Asked, Moves, moves, ranks
from newsrec.events import EventLog
from newsrec.features import feature_hash
from newsrec.reward import RewardConfig
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.transitions import Candidates, State


class CannotExplain(InvalidConfig):
    """A reader, a request or a policy of which nothing can be said; the message says what was found and expected."""


class Read(NamedTuple):
    """An earlier read and its part in a score."""

    title: str
    attribution: float
    """In units of the score."""
    share: float
    """Of all parts of the history, whatever their sign: in [-1, 1]."""


class Move(NamedTuple):
    """Why an article stands where it does; values in the unit of the policy's reward, clicks."""

    click_value: float
    long_term_value: float
    difference: float
    low: float
    """Ends of the difference's interval, NaN with one artefact."""
    high: float
    click_rank: int


class Explained(NamedTuple):
    """One article."""

    article_id: str
    title: str
    rank: int
    """From 1, by the policy."""
    score: float
    logged: str
    """What the log says of it: "shown 3rd, clicked", or nothing."""
    reads: list[Read]
    """The ones that drove it most, first; only those that spoke for it."""
    move: Move | None
    """None for a policy without values."""


class Explanation(NamedTuple):
    """A request."""

    request_id: str
    user_id: str
    time: datetime
    reads: int
    """Known of the reader at that moment."""
    slate: list[Explained]
    """The best by the policy."""
    left_out: list[Explained]
    """Those that the click model would have shown instead; none for a policy without values."""
    policies: int


def latest_request(log: EventLog, user_id: str) -> str:
    """The name of the last decision made for ``user_id``. Raises CannotExplain."""
    decisions = log.decisions
    own = decisions.filter(pc.equal(decisions["user_id"], user_id))
    if not own.num_rows:
        readers = pc.count_distinct(decisions["user_id"]).as_py()
        raise CannotExplain(f"found no decision for the reader {user_id!r}, expected one of {readers:,} readers")
    return own.sort_by([("time", "ascending"), ("request_id", "ascending")])["request_id"][-1].as_py()


def explain(
    artifacts: Sequence[Artifact],
    log: EventLog,
    request_id: str,
    method: str = "integrated_gradients",
    size: int = 10,
    named: int = 3,
) -> Explanation:
    """What the first of ``artifacts`` would serve at ``request_id`` and why, ``named`` reads to an article.

    The others are the same policy trained with other seeds, for the interval of differences. Raises CannotExplain, and
    InvalidEvents where the log has no features for the policy.
    """
    if method not in METHODS:
        raise CannotExplain(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    _check_alike(artifacts)
    one = one_decision(log, request_id, any(loaded.use_time for loaded in artifacts))
    requests = [_seen_by(loaded, one) for loaded in artifacts]
    policy, (state, candidates) = artifacts[0].policy, requests[0]
    (row,) = _of_request(log, request_id).to_pylist()
    if not state.history_mask.any():
        found = f"the reader {row['user_id']!r} had read nothing yet at {request_id!r}"
        raise CannotExplain(f"{found}, expected a request with a history")
    with torch.no_grad():
        scores = policy.eval().scores(state, candidates)  # type: ignore[operator]
    rank = ranks(scores)[0]  # [C]
    why: Moves | None = None
    if isinstance(policy, SlateValueScorer):
        why = moves([Asked(a.policy, *r) for a, r in zip(artifacts, requests, strict=True)])  # type: ignore[arg-type]
    chosen = np.argsort(np.where(rank > 0, rank, np.iinfo(np.int64).max), kind="stable")[: min(size, (rank > 0).sum())]
    left = np.zeros(0, np.int64)
    if why is not None:
        by_clicks = why.click_rank[0]
        left = np.flatnonzero((by_clicks > 0) & (by_clicks <= size) & (rank > size))
        left = left[np.argsort(by_clicks[left])]
    at = np.concatenate([chosen, left])
    attributions = _attributions(policy, state, candidates, at, method, artifacts[0].name)
    titles, read_titles = _titles(one)
    told = [
        Explained(
            article_id=row["candidates"][c],
            title=titles[c],
            rank=int(rank[c]),
            score=float(scores[0, c]),
            logged=_logged(log, row, row["candidates"][c]),
            reads=_reads(attribution, read_titles, named),
            move=_move(why, c) if why is not None else None,
        )
        for c, attribution in zip(at.tolist(), attributions, strict=True)
    ]
    return Explanation(
        request_id,
        row["user_id"],
        datetime.fromtimestamp(one.time[0] / 1e6, UTC),
        int(state.history_mask.sum()),
        told[: len(chosen)],
        told[len(chosen) :],
        len(artifacts),
    )


def one_decision(log: EventLog, request_id: str, use_time: bool = True) -> Decisions:
    """The decision ``request_id`` alone, as it stands in ``dataset.from_log(log)``. Raises CannotExplain."""
    only = _of_request(log, request_id)
    user, offered = only["user_id"][0], only["candidates"].combine_chunks().flatten()

    def where(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
        return table.filter(pc.is_in(table[name], value_set=values))

    users = pa.array([user.as_py()])
    own = log._replace(
        recommendations=where(log.recommendations, "user_id", users), feedback=where(log.feedback, "user_id", users)
    )
    shown = log._replace(
        articles=where(log.articles, "article_id", offered), feedback=where(log.feedback, "article_id", offered)
    )
    asked = log._replace(recommendations=only, feedback=where(own.feedback, "request_id", only["request_id"]))
    readers = point_in_time(decision_moments(asked), reader_snapshots(own), "user_id")
    counts = article_snapshots(shown).drop_columns(["embedding", "published_at"])
    articles = point_in_time(article_moments(asked), counts, "article_id")
    return dataset.build(asked, readers, articles, RewardConfig(), use_time)


def _of_request(log: EventLog, request_id: str) -> pa.Table:
    """The one row of the decision. Raises CannotExplain."""
    decisions = log.decisions
    found = decisions.filter(pc.equal(decisions["request_id"], request_id))
    if not found.num_rows:
        raise CannotExplain(f"found no decision {request_id!r}, expected one of {decisions.num_rows:,} requests")
    return found


def _check_alike(artifacts: Sequence[Artifact]) -> None:
    """Raises CannotExplain for artefacts that are not one policy trained several times, or of other features."""
    first = artifacts[0]
    for loaded in artifacts:
        if loaded.feature_hash != feature_hash():
            found = f"{loaded.name} {loaded.version} was trained on features {loaded.feature_hash}"
            raise CannotExplain(f"{found}, this code has {feature_hash()}; train it again")
        if loaded.name != first.name or _settings(loaded) != _settings(first):
            found = f"found {first.name} {first.version} and {loaded.name} {loaded.version}, which differ in more"
            raise CannotExplain(f"{found} than their seed; expected one policy trained with several seeds")
    if len(artifacts) > 1 and not isinstance(first.policy, SlateValueScorer):
        raise CannotExplain(
            f"{first.name} has no long-term values that several seeds could bound; expected one artefact"
        )


def _settings(loaded: Artifact) -> dict[str, Any]:
    return config.to_mapping(loaded.policy.config) | {"use_time": loaded.use_time}


def _seen_by(loaded: Artifact, one: Decisions) -> tuple[State, Candidates]:
    batch = loaded.sees(one).batch(np.array([0]))
    return batch.state, batch.candidates


def _attributions(
    policy: Any, state: State, candidates: Candidates, at: np.ndarray, method: str, name: str
) -> np.ndarray:
    """[n, H] of the candidates ``at`` [n] of one request. Raises CannotExplain."""
    n = len(at)
    states = State(*(column.expand(n, *column.shape[1:]) for column in state))
    offered = Candidates(*(column.expand(n, *column.shape[1:]) for column in candidates))
    try:
        found = read_attributions(policy, states, offered, torch.from_numpy(at), method)  # type: ignore[arg-type]
    except (ValueError, ArithmeticError) as error:
        raise CannotExplain(f"{name}: {error}") from None
    if not found.any():
        raise CannotExplain(f"the scores of {name} do not depend on what was read; expected a policy with a history")
    return found.double().numpy()


def _titles(one: Decisions) -> tuple[list[str], list[str]]:
    """Of the candidates and of the reads; the name where the log has no title."""
    titles = pc.coalesce(one.catalogue.articles["title"], one.catalogue.articles["article_id"]).to_pylist()
    titles = ["an article that this log does not hold", *titles]
    reads = one.catalogue.rows_of_keys(one.readers.key[0, : one.readers.length[0]])
    return [titles[row] for row in one.candidate.values], [titles[row] for row in reads]


def _reads(attribution: np.ndarray, titles: list[str], named: int) -> list[Read]:
    whole = np.abs(attribution).sum() or 1.0
    order = np.argsort(-attribution[: len(titles)], kind="stable")[:named]
    return [Read(titles[j], float(attribution[j]), float(attribution[j] / whole)) for j in order if attribution[j] > 0]


def _move(found: Moves, c: int) -> Move:
    return Move(
        float(found.click_value[0, c]),
        float(found.long_term_value[0, c]),
        float(found.difference[0, c]),
        float(found.low[0, c]),
        float(found.high[0, c]),
        int(found.click_rank[0, c]),
    )


def _logged(log: EventLog, row: dict[str, Any], article_id: str) -> str:
    if article_id not in row["slate"]:
        return ""
    own = log.feedback.filter(pc.equal(log.feedback["request_id"], row["request_id"]))
    clicks = own.filter(pc.equal(own["kind"], "click"))["article_id"].to_pylist()
    return f"shown at {row['slate'].index(article_id) + 1}" + ", clicked" * (article_id in clicks)
