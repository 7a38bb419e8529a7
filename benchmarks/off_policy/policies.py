"""Trained policies and their mixtures, judged from another policy's log of one week, and played in the next.

The setting was chosen once, from the weights in a small newsroom of another seed and before any estimate was compared
with a truth: slates of three of the 30 newest articles; an incumbent, popularity, as undecided as a uniform draw from
80 % of them, others from half. Weights of factors, transformer and policy gradient had mean squares of 3.0, 17 and 1.8
there (from a third: 6.1, 74 and 3.9), with which some 6,000 readers tell a difference of 0.02 clicks.

A mixture draws for each slate which of two policies makes it. Its propensities are those of the mixture, in which the
articles above tell who it was: other weights than those of its parts, and smaller ones.

Scored are contrasts to the incumbent, in clicks a decision, by ``agreement``. The default is that of docs/off_policy.md
for slates with a model. A constant has to fail each bar. Where ``NEWSREC_POLICIES`` names a folder, the figures of
finished seeds are kept there and not measured again.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.off_policy import counterfactual
from benchmarks.off_policy.agreement import agreement, contrast
from benchmarks.off_policy.counterfactual import Under
from benchmarks.off_policy.newsroom import DRAWN, Contender, Mixed, Newsroom, trained, unknown
from benchmarks.results import Bar, Part
from newsrec import dataset
from newsrec.config import digest
from newsrec.evaluation.off_policy import slate
from newsrec.evaluation.off_policy.diagnostics import Evidence, EvidenceConfig, judge
from newsrec.evaluation.off_policy.slope import Choice, slope
from newsrec.evaluation.off_policy.terms import mean
from newsrec.files import write_whole
from newsrec.simulator.rollout import Actor

SEEDS = [83, 84, 85]
SMALL: dict[str, Any] = {"width": 32, "layers": 1}
NETWORK = {"network": SMALL}
INCUMBENT = Contender("incumbent", "popularity", {"epochs": 2}, {})
OTHERS, OWN = 0.5, 0.8
"""How undecided policies are: those in question, and the incumbent."""
CONTENDERS = (
    Contender("factors", "matrix_factorization", {"epochs": 6}, {}),
    Contender("factors, one epoch", "matrix_factorization", {"epochs": 1}, {}),
    Contender("factors of 8 numbers", "matrix_factorization", {"epochs": 6}, {"width": 8}),
    Contender("factors, a tenth of the log", "matrix_factorization", {"epochs": 6, "test": 0.8}, {}),
    Contender("popularity, a tenth of the log", "popularity", {"epochs": 2, "test": 0.8}, {}),
    Contender("transformer", "transformer", {"epochs": 3}, SMALL),
    Contender("transformer, another seed", "transformer", {"epochs": 3}, SMALL, seed=1),
    Contender("dwell", "dwell", {"epochs": 3}, NETWORK),
    Contender("return", "return", {"epochs": 3}, NETWORK),
    Contender("diverse", "diverse", {"epochs": 3}, NETWORK),
    Contender("dqn", "dqn", {"epochs": 2}, NETWORK),
    Contender("iql", "iql", {"epochs": 2}, NETWORK),
    Contender("policy gradient", "policy_gradient", {"epochs": 2}, NETWORK),
    Contender("imitation", "imitation", {"epochs": 2}, NETWORK),
    Contender("actor critic", "actor_critic", {"epochs": 2}, NETWORK),
)
MIXTURES = tuple((n, None if n % 2 else (n + 7) % 15, (0.25, 0.5, 0.75)[n % 3]) for n in range(15))
"""A contender, another one (None: the incumbent), and the share of the first."""
DEFAULT, CONSTANT = "cascade-DR", "a constant"
VISITS, GUESTS = "at the incumbent's visits", "as guests"
"""What is true of a policy: of its slates where the incumbent's readers ask, or where its own readers do."""
LEAST_EXPLAINED, LEAST_SPEARMAN, MOST_LOST, MOST_REFUSED = 0.8, 0.9, 0.05, 0.2


@dataclass(frozen=True)
class Size:
    """Readers of the three weeks, resamples, and what the evidence asks for."""

    taught: int = 1_000
    logged: int = 12_000
    """Of the incumbent, in week one and again in week two."""
    guests: int = 400
    """Of each policy in week two, beside them."""
    contenders: int = 15
    draws: int = 300
    half_width: float = 0.02
    """Clicks a decision, of which a slate gets about 0.3."""


FULL, QUICK = Size(), Size(taught=100, logged=100, guests=20, contenders=2, draws=50, half_width=0.5)


def protocol(size: Size) -> str:
    mixtures = len(judged(size.contenders)) - size.contenders
    return (
        f"{size.contenders} policies trained on a week of uniform slates to {size.taught:,} readers, and "
        f"{mixtures} mixtures; the log of popularity for {size.logged:,} other readers in the next week, slates "
        f"of 3 from 30; truth: expected clicks in the third week, where popularity serves as many others: what each "
        f"policy's slates would earn at their visits, and what it earns as it serves twins of {size.guests:,} of them. "
        f"A refusal stands at 0; evidence asks for a half width of {size.half_width:g} clicks a decision."
    )


def measure(size: Size) -> Part:
    found = {seed: kept(seed, size) for seed in SEEDS}
    told = {kind: [figures["truths"][kind]["estimators"] for figures in found.values()] for kind in (VISITS, GUESTS)}
    return Part({"policies": found}, [bar for kind, rooms in told.items() for bar in bars_of(kind, rooms)])


class Judged(NamedTuple):
    """A policy: its parts, and their shares."""

    name: str
    parts: tuple[int, ...]
    """Rows of the components, 0 the incumbent."""
    shares: tuple[float, ...]


def judged(contenders: int) -> list[Judged]:
    """The first of the contenders and all mixtures of them."""
    found = [Judged(CONTENDERS[n].name, (n + 1,), (1.0,)) for n in range(contenders)]
    for first, other, share in MIXTURES:
        if first < contenders and (other is None or other < contenders):
            second = INCUMBENT if other is None else CONTENDERS[other]
            name = f"{share:.0%} {CONTENDERS[first].name} + {1 - share:.0%} {second.name}"
            found.append(Judged(name, (first + 1, 0 if other is None else other + 1), (share, 1.0 - share)))
    return found


def kept(seed: int, size: Size) -> dict[str, Any]:
    """``of_seed``, from the folder of finished ones where there is one."""
    if not (folder := os.environ.get("NEWSREC_POLICIES")):
        return of_seed(seed, size)
    path = Path(folder) / f"{seed}-{digest(size, [*map(asdict, CONTENDERS)], MIXTURES, OTHERS, OWN)}.json"
    if not path.exists():
        write_whole(path, json.dumps(of_seed(seed, size), default=float))
    return json.loads(path.read_text(encoding="utf-8"))


def of_seed(seed: int, size: Size) -> dict[str, Any]:
    """The figures of one newsroom."""
    room, policies = Newsroom(seed), judged(size.contenders)
    trainings = [INCUMBENT, *CONTENDERS[: size.contenders]]
    undecided = [OWN] + [OTHERS] * size.contenders
    components = trained(trainings, room.log(0, size.taught), undecided)
    acts = Actor(Mixed(components[:1], (1.0,)), DRAWN, INCUMBENT.name)
    log = counterfactual.seen(unknown(dataset.from_log(room.log(1, size.logged, acts))), components)
    chance = counterfactual.click_chances(log)
    alone = [counterfactual.under(first, log, chance) for first in log.first]
    generator, found = np.random.default_rng(seed), []
    for policy in policies:
        under = counterfactual.mixed([alone[part] for part in policy.parts], policy.shares)
        found.append(judgements(counterfactual.slate_log(log, under, alone[0], chance), under, size, generator))
    playing = [components[0], *(Mixed([components[part] for part in of.parts], of.shares, seed) for of in policies)]
    (own, *guests), looked = room.played(size.logged, size.guests, playing, components)
    hosts = [sum(share * looked[part] for part, share in zip(of.parts, of.shares, strict=True)) for of in policies]
    truths = {
        VISITS: np.array([contrast(earned, looked[0]) for earned in hosts]),
        GUESTS: np.array([contrast(earned, own) for earned in guests]),
    }
    return {
        "decisions": len(log.reader),
        "readers": len(np.unique(log.reader)),
        "logged_clicks": log.reward.sum(1).mean(),
        "played_clicks_of_the_incumbent": own[0].sum() / own[1].sum(),
        "truths": {
            kind: {
                "spread": truth[:, 0].std(ddof=1),
                "error": truth[:, 1].mean(),
                "estimators": {name: scored([of[name] for of in found], truth[:, 0]) for name in found[0]},
            }
            for kind, truth in truths.items()
        },
        "policies": [
            {"name": of.name, "temperature": [components[part].temperature for part in of.parts],
             **{kind: truth[at].tolist() for kind, truth in truths.items()},
             "effective_readers": each[DEFAULT][1].weights.effective_readers,
             DEFAULT: each[DEFAULT][0], "answer": each[DEFAULT][1].sentence}
            for at, (of, each) in enumerate(zip(policies, found, strict=True))
        ],
    }  # fmt: skip


def judgements(
    log: slate.SlateLog, under: Under, size: Size, generator: np.random.Generator
) -> dict[str, tuple[float, Evidence]]:
    """The contrast of one policy to the incumbent by each estimator, and what may be said of it."""
    whole, alike = slate.slate_weight(log), np.ones(len(log.reader))
    places = slate.place_weights(log).mean(1)
    terms = {
        "standard IPS": (slate.standard_ips(log), whole),
        "standard SNIPS": (slate.self_normalised_standard_ips(log), whole),
        "reward-interaction IPS": (slate.reward_interaction_ips(log), whole),
        "reward-interaction SNIPS": (slate.self_normalised_reward_interaction_ips(log), whole),
        DEFAULT: (slate.cascade_doubly_robust(log), whole),
        "independent IPS": (slate.independent_ips(log), places),
        "independent SNIPS": (slate.self_normalised_independent_ips(log), places),
        "DM": (mean(log.reader, under.model), alike),
    }
    acted = slate.on_policy(log)
    contrasts = {name: (each.minus(acted), weight) for name, (each, weight) in terms.items()}
    line = [DEFAULT, "independent SNIPS", "DM"]  # from the least biased to the most
    chosen = slope([Choice(float(at), contrasts[name][0]) for at, name in enumerate(line)])
    contrasts["SLOPE"] = chosen.terms, contrasts[line[int(chosen.parameter)]][1]
    contrasts[CONSTANT] = mean(log.reader, 0.0 * alike), alike
    asked = EvidenceConfig(half_width=size.half_width, lowest=-float("inf"), draws=size.draws)
    return {name: (each.value, judge(each, weight, asked, generator)) for name, (each, weight) in contrasts.items()}


def scored(found: list[tuple[float, Evidence]], truth: np.ndarray) -> dict[str, float]:
    """Of one estimator over all policies."""
    told = [evidence.value for _, evidence in found]
    raw = np.array([value for value, _ in found])
    estimate = np.array([np.nan if value is None else value.mean for value in told])
    held = [value.low <= t <= value.high for value, t in zip(told, truth, strict=True) if value is not None]
    return {
        **agreement(estimate, truth)._asdict(),
        "covered": float(np.mean(held)) if held else np.nan,
        "error": float(np.square(raw - truth).mean() ** 0.5),
        "bias": float((raw - truth).mean()),
    }


def bars_of(kind: str, rooms: list[dict[str, dict[str, float]]]) -> list[Bar]:
    """Over ``rooms``, estimator -> what was scored in a newsroom: the mean, and the range; each has to meet the bar."""
    of, asked = [found[DEFAULT] for found in rooms], f"of {DEFAULT} {kind}"
    titles = {
        f"explained variance {asked}": ("explained", f"{LEAST_EXPLAINED} or more"),
        f"Spearman {asked}": ("spearman", f"{LEAST_SPEARMAN} or more"),
        f"share of the gain that is lost {asked}": ("lost", f"{MOST_LOST} or less"),
        f"share refused {asked}": ("refused", f"{MOST_REFUSED} or less"),
    }
    reached = np.array([[*met(found), found["refused"] <= MOST_REFUSED] for found in of]).all(0)
    bars = []
    for (title, (key, bar)), all_met in zip(titles.items(), reached, strict=True):
        values = [found[key] for found in of]
        bars.append(Bar(title, float(np.mean(values)), (min(values), max(values)), bar, bool(all_met)))
    passed = float(sum(sum(met(found[CONSTANT])) for found in rooms))
    return [*bars, Bar(f"of the first three, {CONSTANT} meets {kind}", passed, None, "0", passed == 0.0)]


def mean_of(rooms: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float | None]]:
    """Estimator -> figure -> its mean over newsrooms; None where a newsroom has none."""
    means: dict[str, dict[str, float | None]] = {}
    for name in rooms[0]:
        columns = {key: [found[name][key] for found in rooms] for key in rooms[0][name]}
        means[name] = {
            key: None if any(value is None for value in values) else float(np.mean(values))
            for key, values in columns.items()
        }
    return means


def met(of: dict[str, float]) -> tuple[bool, bool, bool]:
    """Which of the three bars of agreement an estimator meets."""
    return of["explained"] >= LEAST_EXPLAINED, of["spearman"] >= LEAST_SPEARMAN, of["lost"] <= MOST_LOST
