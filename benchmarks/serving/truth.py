"""What is logged is what happened: drawn as often as told, logged as answered, and scored again from history.

1. One request is made again and again, for few candidates; how often each slate came is held against the product of its
   propensities by Pearson's chi-square. Slates that are expected less than five times count together.
2. The event log holds each of these slates with the propensities that were answered.
3. Every reader asks for a slate. From the log alone, Feast's point-in-time join makes a training set in a store of its
   own; the artefact scores its rows, and these scores are held against those that were served.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import chi2

from benchmarks.results import Bar, Part
from benchmarks.serving import site as sites
from benchmarks.serving.site import Site, named_redis
from benchmarks.serving.stage import OURS, Stage, body, logged, staged
from benchmarks.serving.void import Void
from feature_repo.store import build_training_set
from newsrec import artifact, dataset, events
from newsrec.event_log import EventDatabase
from newsrec.events import EventLog
from newsrec.features import HOUR

SEEDS = [sites.SEED]
CANDIDATES, SLATE, TOGETHER = 4, 2, 100
LEAST_P, LEAST_EXPECTED = 0.001, 5.0
TOLERANCE = 1e-4
"""Of a score from history beside the served one, absolute."""
METHODS = {"epsilon": ("--epsilon=0.4",), "plackett_luce": ("--method=plackett_luce",)}


@dataclass(frozen=True)
class Size:
    """How often and how it is drawn."""

    draws: int = 10_000
    methods: tuple[str, ...] = tuple(METHODS)


FULL, QUICK = Size(), Size(draws=1_000, methods=("epsilon",))


def protocol(size: Size) -> str:
    return (
        f"One request for {SLATE} of {CANDIDATES} candidates {size.draws:,} times by {' and '.join(size.methods)}: "
        f"frequencies of slates against their propensities, chi-square. {sites.READERS} slates of {sites.SLATE} from "
        f"{sites.LIVE}: scores from the log and Feast's point-in-time join against those that were served."
    )


def measure(size: Size) -> Part:
    figures: dict[str, Any] = {}
    bars = []
    for method in size.methods:
        await_hour()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with staged(folder / "site", "sqlite", _now(), [OURS.name], METHODS[method]) as stage:
                drawn, read = draws(stage, size.draws), reads(stage)
            log = _log(stage.site)
            found = figures[method] = _found(drawn, read, log, stage.site, folder / "history")
        name = f"{method}: slates come as often as their propensities say, p of chi-square"
        bars.append(Bar(name, found["p"], None, f"{LEAST_P:g} or more", found["p"] >= LEAST_P))
        away = found["largest_difference_of_scores"]
        name = f"{method}: scores from log and history, away from those served"
        bars.append(Bar(name, away, None, f"at most {TOLERANCE:g}", away <= TOLERANCE))
    return Part({"truth": figures}, bars)


def draws(stage: Stage, count: int) -> list[dict[str, Any]]:
    """The answers to one request, ``count`` times."""
    request = {"k": SLATE, "candidates": stage.site.candidates[:CANDIDATES], "time": _now()}
    payload = {"instances": body(stage.site.readers[0], **request)["instances"] * TOGETHER}
    return [answer for _ in range(count // TOGETHER) for answer in stage.ask(OURS.name, payload)["predictions"]]


def reads(stage: Stage) -> list[dict[str, Any]]:
    """A slate for each reader, from all live articles."""
    found = [stage.ask(OURS.name, body(reader))["predictions"][0] for reader in stage.site.readers]
    logged(stage.site, [answer["request_id"] for answer in found])
    return found


def _found(
    drawn: Sequence[Mapping[str, Any]], read: Sequence[Mapping[str, Any]], log: EventLog, site: Site, folder: Path
) -> dict[str, Any]:
    refuse_other_log([*drawn, *read], log)
    statistic, degrees, p = chi_square(frequencies(drawn), probabilities(drawn))
    return {
        "draws": len(drawn),
        "slates": len(probabilities(drawn)),
        "chi_square": statistic,
        "degrees_of_freedom": degrees,
        "p": p,
        "rescored": len(read),
        "largest_difference_of_scores": rescored(read, log, site, folder),
    }


def frequencies(drawn: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, ...]]:
    """Slate -> how often it came."""
    return Counter(tuple(shown["article_id"] for shown in answer["slate"]) for answer in drawn)


def probabilities(drawn: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], float]:
    """Slate -> the product of its propensities. Raises Void where it was told differently at different times."""
    found: dict[tuple[str, ...], float] = {}
    for answer in drawn:
        slate = tuple(shown["article_id"] for shown in answer["slate"])
        told = float(np.prod([shown["propensity"] for shown in answer["slate"]]))
        if abs(found.setdefault(slate, told) - told) > 1e-9:
            raise Void(f"slate {slate} has probability {told} and {found[slate]} for the same request")
    return found


def chi_square(
    observed: Mapping[tuple[str, ...], int], expected: Mapping[tuple[str, ...], float]
) -> tuple[float, int, float]:
    """Pearson's statistic, its degrees of freedom and p; slates that never came are one cell with what is left."""
    count = sum(observed.values())
    cells = [[float(observed[slate]), count * share] for slate, share in expected.items()]
    cells.append([0.0, count * max(1.0 - sum(expected.values()), 0.0)])
    whole = [cell for cell in cells if cell[1] >= LEAST_EXPECTED]
    rare = [cell for cell in cells if cell[1] < LEAST_EXPECTED]
    seen, wanted = sum(cell[0] for cell in rare), sum(cell[1] for cell in rare)
    if wanted >= LEAST_EXPECTED or not whole:
        whole.append([seen, wanted])
    else:  # too rare even together
        whole[-1] = [whole[-1][0] + seen, whole[-1][1] + wanted]
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in whole)
    degrees = max(len(whole) - 1, 1)
    return statistic, degrees, float(chi2.sf(statistic, degrees))


def refuse_other_log(answers: Sequence[Mapping[str, Any]], log: EventLog) -> None:
    """Raise Void unless the log holds each of ``answers`` as it was given."""
    rows = {row["request_id"]: row for row in log.recommendations.to_pylist()}
    for answer in answers:
        row = rows.get(answer["request_id"])
        slate, shares = ([shown[name] for shown in answer["slate"]] for name in ("article_id", "propensity"))
        if row is None or row["slate"] != slate or not np.allclose(row["propensities"], shares, rtol=0.0, atol=1e-6):
            raise Void(f"answered was {slate} with {shares}, the log has {row and (row['slate'], row['propensities'])}")


def rescored(read: Sequence[Mapping[str, Any]], log: EventLog, site: Site, folder: Path) -> float:
    """How far any score from history is from the one that was served."""
    folder.mkdir()
    events.write(log, folder / "log")
    with named_redis(""):
        build_training_set(folder / "log", folder / "training_set")
    served = artifact.load(site.artifact)
    decisions = served.sees(dataset.read(folder / "training_set", use_time=served.use_time))
    ordered = log.decisions.sort_by([("time", "ascending"), ("request_id", "ascending")])
    row_of = {request: row for row, request in enumerate(ordered["request_id"].to_pylist())}
    rows = np.array([row_of[answer["request_id"]] for answer in read])
    batch = decisions.batch(rows)
    with torch.inference_mode():
        scores = served.policy.scores(batch.state, batch.candidates).gather(1, batch.slate)  # [B, K]
    given = torch.tensor([[shown["score"] for shown in answer["slate"]] for answer in read])
    if not torch.equal(batch.slate_mask.sum(1), torch.tensor([len(answer["slate"]) for answer in read])):
        raise Void("the training set has other slates than were answered")
    return float((scores - given).abs().max())


def await_hour(margin_seconds: float = 240.0) -> None:
    """Sleep into the next hour where this one ends soon: counts of articles are joined as of each whole hour."""
    left = (HOUR - _now() % HOUR) / 1e6
    if left < margin_seconds:
        time.sleep(left + 1.0)


def _log(site: Site) -> EventLog:
    with closing(EventDatabase(site.event_log)) as database:
        return database.export()


def _now() -> int:
    return time.time_ns() // 1_000
