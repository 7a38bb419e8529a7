"""What two policies would have shown a few readers, side by side, and which earlier reads drove each article.

A mean says who is better and not what a reader sees. Decisions are drawn by chance, one for each kind of reader that is
told apart in ``evaluation.slices``, so nobody picked the one that looks best. Both policies order the candidates that
the logged policy had at that moment; readers have no names here. What is told of an article is what ``newsrec explain``
tells of a whole request, for the first few alone::

    {"format": 1, "seed", "policies": [winner, other], "choice": sentence, "left_out": [sentence],
     "examples": [{"reader", "meaning", "reads", "time", "candidates",
                   "slates": {NAME: {"note", "articles": [{"title", "category", "hours_old", "logged",
                              "reads": [{"title", "share"}], "move": {...} | null}]}}}]}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch

from newsrec.artifact import Artifact
from newsrec.decisions import Decisions
from newsrec.encoders.scorer import HistoryScorer
from newsrec.encoders.slate_value import SlateValueScorer
from newsrec.evaluation.explanation import read_attributions
from newsrec.evaluation.moves import Asked, moves, ranks
from newsrec.evaluation.slices import clicked_articles, kinds_of_readers
from newsrec.features import HOUR
from newsrec.transitions import Candidates, State

FORMAT = 1


@dataclass(frozen=True)
class ExamplesConfig:
    """How many are told, which bounds the time: a few seconds each."""

    size: int = 5
    """Articles of a slate."""
    named_reads: int = 3
    """That are named for an article, at most."""
    seed: int = 0
    """Of the choice of decisions."""


def examples(
    decisions: Decisions,
    rows: np.ndarray,
    judged: Mapping[str, Artifact],
    winner: str,
    other: str,
    config: ExamplesConfig | None = None,
) -> dict[str, Any]:
    """One decision of ``rows`` for each kind of reader, as ``winner`` and ``other`` of ``judged`` would have it."""
    config = config or ExamplesConfig()
    generator = np.random.default_rng(config.seed)
    found, left_out = [], []
    for kind, (meaning, members) in kinds_of_readers(decisions.readers.length[rows]).items():
        if not members.any():
            left_out.append(f"No decision of {kind} ({meaning}) is among those that the policies were compared on.")
            continue
        row = rows[members][generator.integers(members.sum())]
        one = {"reader": kind, "meaning": meaning, **_decision(decisions, row)}
        slates = {name: _slate(judged[name], decisions, row, config) for name in (winner, other)}
        found.append(one | {"slates": slates})
    choice = (
        f"Decisions drawn by chance (seed {config.seed}), one for each kind of reader, from the {len(rows):,} that the "
        "policies were compared on. Both order the same candidates, those of the logged request."
    )
    about = {"format": FORMAT, "seed": config.seed, "policies": [winner, other], "choice": choice}
    return about | {"left_out": left_out, "examples": found}


def _decision(decisions: Decisions, row: int) -> dict[str, Any]:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(decisions.time[row]))
    reads, candidates = int(decisions.readers.length[row]), int(np.diff(decisions.candidate.offsets)[row])
    return {"reads": reads, "time": moment.isoformat(timespec="minutes"), "candidates": candidates}


def _slate(judged: Artifact, decisions: Decisions, row: int, config: ExamplesConfig) -> dict[str, Any]:
    """The first articles by ``judged``, with what drove them."""
    seen = judged.sees(decisions)
    batch = seen.batch(np.array([row]))
    state, candidates, policy = batch.state, batch.candidates, judged.policy
    if isinstance(policy, torch.nn.Module):
        policy.eval()
    with torch.no_grad():
        rank = ranks(policy.scores(state, candidates))[0]  # type: ignore[operator]  # [C]
    order = np.argsort(np.where(rank > 0, rank, np.iinfo(np.int64).max), kind="stable")
    at = order[: min(config.size, np.count_nonzero(rank))]
    shares, note = _shares(policy, state, candidates, at)
    why = moves([Asked(policy, state, candidates)]) if isinstance(policy, SlateValueScorer) else None
    reads = seen.catalogue.rows_of_keys(seen.readers.key[row, : seen.readers.length[row]])
    articles = []
    for place, share in zip(at.tolist(), shares, strict=True):
        article = seen.candidate.values[seen.candidate.offsets[row] + place]
        drove = [j for j in np.argsort(-share[: len(reads)], kind="stable")[: config.named_reads] if share[j] > 0]
        told = {"reads": [{"title": _title(seen, reads[j]), "share": float(share[j])} for j in drove]}
        move = None
        if why is not None:
            move = {name: float(getattr(why, name)[0, place]) for name in ("click_value", "long_term_value")}
            move |= {"rank": int(rank[place]), "click_rank": int(why.click_rank[0, place])}
        articles.append({**_article(seen, row, article), "logged": _logged(seen, row, article), **told, "move": move})
    return {"note": note, "articles": articles}


def _shares(policy: Any, state: State, candidates: Candidates, at: np.ndarray) -> tuple[np.ndarray, str | None]:
    """[n, H] of candidates ``at`` [n], for and against, of all that the history does; or zeros and why."""
    n, nothing = len(at), np.zeros((len(at), state.history_mask.shape[1]))
    if not state.history_mask.any():
        return nothing, "Nothing was read before, so no read drove these articles."
    states = State(*(column.expand(n, *column.shape[1:]) for column in state))
    offered = Candidates(*(column.expand(n, *column.shape[1:]) for column in candidates))
    methods = ("integrated_gradients", "leave_one_out") if isinstance(policy, HistoryScorer) else ("leave_one_out",)
    found = torch.zeros(nothing.shape)
    for method in methods:
        try:
            found = read_attributions(policy, states, offered, torch.from_numpy(at), method)  # type: ignore[arg-type]
            break
        except ArithmeticError:  # integrated gradients that do not add up: the next method needs no such sum
            continue
    if not found.any():
        return nothing, "This policy does not look at what a reader has read."
    parts = np.nan_to_num(found.double().numpy())
    return parts / np.maximum(np.abs(parts).sum(1, keepdims=True), 1e-12), None


def _article(seen: Decisions, row: int, article: int) -> dict[str, Any]:
    age = (seen.time[row] - seen.catalogue.published_at[article]) / HOUR if article else math.nan
    category = seen.catalogue.articles["category"][int(article) - 1].as_py() if article else None
    return {
        "title": _title(seen, article),
        "category": category,
        "hours_old": None if math.isnan(age) else round(float(age), 1),
    }


def _title(seen: Decisions, article: int) -> str:
    if not article:
        return "an article that this log does not hold"
    titles = seen.catalogue.articles["title"]
    return titles[int(article) - 1].as_py() or f"untitled article {seen.catalogue.ids[article]}"


def _logged(seen: Decisions, row: int, article: int) -> str:
    """What the log says of it: "shown 3rd, clicked", or nothing."""
    own = slice(seen.slate.offsets[row], seen.slate.offsets[row + 1])
    shown = seen.candidate.values[seen.candidate.offsets[row] + seen.slate.values[own]].tolist()
    if article not in shown:
        return ""
    clicked = article in clicked_articles(seen, np.array([row]))[1]
    return f"shown at {shown.index(article) + 1}" + ", clicked" * clicked
