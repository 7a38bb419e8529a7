"""ml-100k, 75/25 of each reader at random, every rating a read, full ranking, nDCG@10: the protocol of Microsoft's
Recommenders, whose figures are .475 (BiVAE), .442 (BPR), .420 (LightGCN), .383 (SAR) and .044 (ALS).

Settings are chosen anew for each seed, on a quarter of its training part, by their nDCG@10 there; the test part is
looked at once. So are those of implicit's ALS and BPR, which run beside (``peers.py``). Every policy trains by its own
equations or its own learner and ranks by ``Policy.scores``:

- EASE and ALS are solved from the readers by items of the training part, a row a reader;
- BPR and LightGCN learn from slates: of each reader a random half of the training part is history, CLICKS of the other
  half are clicked, OTHERS that they never read are passed by. LightGCN's graph is that of the whole training part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from benchmarks.accuracy import peers
from benchmarks.accuracy.interactions import (
    READERS_TOGETHER,
    Interactions,
    full_ranking,
    held_out,
    lists,
    ml_100k,
    slates,
)
from benchmarks.kept import Kept
from benchmarks.results import Bar, Part, mean
from newsrec.baselines import als, bpr, ease, lightgcn
from newsrec.encoders.co_reading import gram
from newsrec.policy import Policy
from newsrec.training import seeded
from newsrec.transitions import Transitions

SEEDS = [0, 1, 2, 3, 4]
TEST, VALIDATION, K = 0.25, 0.25, 10
CLICKS, OTHERS = 32, 96
BARS = {"best of ours": 0.48, "bpr": 0.442, "lightgcn": 0.42}


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    seeds: int = 5
    passes: int = 60
    """Over the readers, for what learns by steps."""
    look: int = 10
    """Passes between two looks at validation."""
    items: int | None = None
    """Least read items that are left out are all beyond this many; None: none."""


FULL, QUICK = Size(), Size(seeds=1, passes=1, look=1, items=60)


class Setting(NamedTuple):
    """A configuration of a policy, and after how many passes or turns it is taken."""

    config: Any
    passes: int


Fitted = Iterator[tuple[Setting, Any]]
"""Policies on the way, each with its setting."""
Contender = Callable[[csr_array, Size, int, Setting | None], Fitted]


def fit_ease(train: csr_array, size: Size, seed: int, only: Setting | None) -> Fitted:
    """Every setting, or ``only`` this one, fitted to ``train``."""
    items = train.shape[1] - 1
    summed: dict[float, csr_array] = {}
    for config in [only.config] if only else EASE:
        summed.setdefault(config.reader_weight, gram(train, config.reader_weight))
        policy = ease.EasePolicy(config, items)
        policy.solve(summed[config.reader_weight])
        yield Setting(config, 1), policy


def fit_als(train: csr_array, size: Size, seed: int, only: Setting | None) -> Fitted:
    for config in [only.config] if only else ALS:
        seeded(seed)
        policy, readers = als.AlsPolicy(config, train.shape[1] - 1), None
        for turn in range(1, (only.passes if only else TURNS) + 1):
            readers = policy.turn(train, readers)
            if turn == (only.passes if only else TURNS):
                yield Setting(config, turn), policy


def fit_bpr(train: csr_array, size: Size, seed: int, only: Setting | None) -> Fitted:
    for config in [only.config] if only else BPR:
        generator = seeded(seed)
        policy = bpr.BprPolicy(config, train.shape[1] - 1)
        learner = bpr.BprLearner(policy, generator)
        yield from _stepped(policy, learner, train, size, seed, only, lambda: None)


def fit_lightgcn(train: csr_array, size: Size, seed: int, only: Setting | None) -> Fitted:
    for config in [only.config] if only else LIGHTGCN:
        generator = seeded(seed)
        policy = lightgcn.LightGcnPolicy(config, train.shape[1] - 1)
        learner = lightgcn.LightGcnLearner(policy, generator)
        learner.join(gram(train, 1.0))
        yield from _stepped(policy, learner, train, size, seed, only, learner.settle)


def _stepped(
    policy: Any,
    learner: Any,
    train: csr_array,
    size: Size,
    seed: int,
    only: Setting | None,
    settle: Callable[[], None],
) -> Fitted:
    """``policy`` at every look, or after as many passes as ``only`` says."""
    luck, last = np.random.default_rng(seed), only.passes if only else size.passes
    for number in range(1, last + 1):
        policy.train()
        for batch in batches(train, luck):
            learner.update(batch)
        if number == last or (not only and number % size.look == 0):
            settle()
            yield Setting(policy.config, number), policy.eval()


def batches(train: csr_array, luck: np.random.Generator) -> Iterator[Transitions]:
    """One pass over the readers of ``train``, in random order."""
    read, items = lists(train), train.shape[1]
    order = [row for row in luck.permutation(len(read)) if len(read[row]) > 1]
    for start in range(0, len(order), READERS_TOGETHER):
        histories, clicks, others = [], [], []
        for row in order[start : start + READERS_TOGETHER]:
            mixed = luck.permutation(read[row])
            drawn = luck.integers(1, items, OTHERS)
            histories.append(mixed[: len(mixed) // 2])
            clicks.append(mixed[len(mixed) // 2 :][:CLICKS])
            others.append(drawn[~np.isin(drawn, mixed)])
        yield slates(histories, clicks, others)


TURNS = 8
EASE = [
    ease.Config(penalty=penalty, dropout=dropout, reader_weight=weight, neighbours=1_000_000)
    for weight, penalties in ((0.0, (200.0, 400.0)), (0.5, (20.0, 40.0)), (0.75, (6.0, 12.0)))
    for penalty in penalties
    for dropout in (0.35, 0.65)
]
ALS = [
    als.Config(width=width, confidence=confidence, penalty=penalty)
    for width, confidence, penalty in ((32, 2.0, 10.0), (64, 2.0, 10.0), (64, 4.0, 20.0), (64, 10.0, 50.0))
]
STEPPED = {"width": 64, "forget_rate": 0.0, "learning_rate": 0.01}
BPR = [
    bpr.Config(**STEPPED, weight_decay=decay, negatives=64, alpha=0.75)  # type: ignore[arg-type]
    for decay in (0.1, 0.3)
]
LIGHTGCN = [
    lightgcn.Config(**STEPPED, weight_decay=decay, negatives=16, gain=16.0)  # type: ignore[arg-type]
    for decay in (0.1, 0.4)
]
CONTENDERS: dict[str, Contender] = {"ease": fit_ease, "als": fit_als, "bpr": fit_bpr, "lightgcn": fit_lightgcn}
TRIED = {"ease": EASE, "als": [TURNS, *ALS], "bpr": BPR, "lightgcn": LIGHTGCN}


def protocol(size: Size) -> str:
    return (
        "Microsoft Recommenders' protocol: "
        f"ml-100k, every rating a read, {1 - TEST:.0%} of each reader's at random to train on, the rest to rank, all "
        f"unread items ranked, nDCG@{K}; settings and passes chosen for each seed on a random {VALIDATION:.0%} of each "
        f"reader's training part; {size.seeds} seeds, up to {size.passes} passes."
    )


class Split(NamedTuple):
    """The interactions of a seed, by row."""

    train: np.ndarray
    kept: np.ndarray
    """Of ``train``, to choose settings with."""
    aside: np.ndarray
    """The rest of ``train``, to choose them by."""
    test: np.ndarray


def split(data: Interactions, seed: int) -> Split:
    generator = np.random.default_rng(seed)
    test = held_out(data.reader, TEST, generator)
    train = np.flatnonzero(~test)
    aside = train[held_out(data.reader[train], VALIDATION, generator)]
    return Split(train, np.setdiff1d(train, aside), aside, np.flatnonzero(test))


def measured(
    size: Size, kept: Kept | None = None, progress: Callable[[str], None] = print, only: list[str] | None = None
) -> Part:
    """nDCG@10 of each contender by seed, what was chosen, and the bars. Raises FileNotFoundError without the data."""
    data = ml_100k()
    if data is None:
        raise FileNotFoundError("MovieLens 100k is not there; set NEWSREC_DATA to a folder that holds ml-100k")
    data, kept = _largest(data, size.items), kept or Kept()
    found: dict[str, dict[str, list[Any]]] = {"ours": {}, "peers": {}}
    for seed in SEEDS[: size.seeds]:
        rows = split(data, seed)
        about = [seed, size.items, len(data.item), TEST, VALIDATION, K]
        for name in only or CONTENDERS:
            asked = [*about, size.passes, size.look, CLICKS, OTHERS, TRIED[name]]
            work = partial(contender, data, rows, CONTENDERS[name], size, seed)
            found["ours"].setdefault(name, []).append(kept.of(f"collaborative-{name}-{seed}", asked, work))
            progress(f"seed {seed}  {name}  {found['ours'][name][-1]}")
        for name, tried in peers.TRIED.items() if peers.PYTHON.exists() else ():
            work = partial(peer, data, rows, name, seed)
            done = kept.of(f"collaborative-implicit-{name}-{seed}", [*about, tried], work)
            found["peers"].setdefault(f"implicit {name}", []).append(done)
            progress(f"seed {seed}  implicit {name}  {done}")
    figures: dict[str, Any] = {
        what: {name: {key: [one[key] for one in seeds] for key in seeds[0]} for name, seeds in those.items()}
        for what, those in found.items()
    }
    counts = {"readers": data.readers, "items": data.items}
    return Part(
        {"collaborative": figures | counts}, bars({name: seeds["test"] for name, seeds in figures["ours"].items()})
    )


def contender(data: Interactions, rows: Split, fit: Contender, size: Size, seed: int) -> dict[str, Any]:
    """nDCG of the setting of ``fit`` that is best on validation."""
    looked = [
        (nanmean(policy, data, rows.kept, rows.aside), setting)
        for setting, policy in fit(data.matrix(rows.kept), size, seed, None)
    ]
    validation, best = max(looked, key=lambda pair: pair[0])
    *_, (_, policy) = fit(data.matrix(rows.train), size, seed, best)
    test = nanmean(policy, data, rows.train, rows.test)
    return {"validation": validation, "test": test, "setting": f"{best.config} after {best.passes}"}


def peer(data: Interactions, rows: Split, name: str, seed: int) -> dict[str, Any]:
    """The same of implicit's model ``name``."""
    looked = [
        nanmean(scores, data, rows.kept, rows.aside)
        for scores in peers.factors(data.matrix(rows.kept), name, peers.TRIED[name], seed)
    ]
    best = peers.TRIED[name][int(np.argmax(looked))]
    (scores,) = peers.factors(data.matrix(rows.train), name, [best], seed)
    test = nanmean(scores, data, rows.train, rows.test)
    return {"validation": max(looked), "test": test, "setting": str(best)}


def bars(found: dict[str, list[float]]) -> list[Bar]:
    """The promises that ``found``, nDCG by seed, can answer."""
    means = {name: np.mean(values) for name, values in found.items()}
    asked = {"best of ours": max(means, key=lambda name: means[name])} if means else {}
    asked |= {name: name for name in means if name in BARS}
    made = []
    for bar, name in asked.items():
        value = mean(np.array(found[name])) if len(found[name]) > 1 else None
        called = f"{bar} ({name})" if bar != name else name
        named = f"nDCG@{K} of {called}, 75/25"
        interval, reached = value and value.interval, bool(means[name] >= BARS[bar])
        made.append(Bar(named, float(means[name]), interval, f">= {BARS[bar]}", reached))
    return made


def nanmean(policy: Policy | np.ndarray, data: Interactions, train: np.ndarray, wanted: np.ndarray) -> float:
    """Over the readers of whom something is ``wanted``."""
    return float(np.nanmean(full_ranking(policy, lists(data.matrix(train)), data.matrix(wanted), K)))


def _largest(data: Interactions, items: int | None) -> Interactions:
    """Of the ``items`` that are read most, numbered anew."""
    if items is None:
        return data
    most = np.argsort(-np.bincount(data.item, minlength=data.items + 1), kind="stable")[:items]
    kept = np.isin(data.item, most)
    reader, item = (np.unique(column[kept], return_inverse=True)[1] for column in (data.reader, data.item))
    return Interactions(reader, item + 1, int(reader.max()) + 1, int(item.max()) + 1)
