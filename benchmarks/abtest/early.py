"""How often does the surrogate index's interval hold the true effect on 28 days?

*Carried by the first days:* the treated arm draws readers with good first weeks more often and is otherwise the same
population, so that the outcome given the first days is the same in both arms, whatever its law is. *Beyond the first
days:* the treated arm's quiet days behind the first week become active too, of which no first week can tell: there the
index has to fail, and is shown to.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.abtest.anytime import proportion
from benchmarks.abtest.population import EARLY, Population
from benchmarks.results import Bar, Part
from newsrec.evaluation.abtest.surrogate import effect_on, fit

SEEDS = [55]
TILT = 0.03
"""How much likelier, in logs, a reader is drawn for each active day of the first week."""
LATE_DAYS = 0.5
"""That the other world adds behind the first week."""


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    experiments: int = 2_000
    readers: int = 2_000
    """In each arm."""
    old_readers: int = 2_000


FULL, QUICK = Size(), Size(experiments=40, readers=500, old_readers=500)


def protocol(size: Size) -> str:
    return (
        f"{size.experiments:,} experiments of {size.readers:,} readers an arm, an index of {EARLY} days fitted anew to "
        f"{size.old_readers:,} others each time; how often its 95 % interval holds the true effect on 28 days, with "
        f"the binomial interval."
    )


def measure(size: Size, people: Population) -> Part:
    generator = np.random.default_rng(SEEDS[0])
    past = people.before.shape[1]
    weight = np.exp(TILT * people.early[:, past : past + 2].sum(1))
    truth = float(np.average(people.days, weights=weight) - people.mean)
    found = []
    for _ in range(size.experiments):
        old = people.draw(size.old_readers, generator)
        index = fit(old.early, old.days)
        treated = people.draw(size.readers, generator, weight).early
        effect = effect_on(index, treated, people.draw(size.readers, generator).early)
        found.append((effect.difference, effect.low, effect.high))
    told, low, high = np.array(found).T
    covers, ends = proportion((low <= truth) & (truth <= high))
    late, late_ends = proportion((low <= truth + LATE_DAYS) & (truth + LATE_DAYS <= high))
    figures = {
        "carried": {"truth": truth, "mean": told.mean(), "coverage": covers, "low": ends[0], "high": ends[1]},
        "beyond": {"truth": truth + LATE_DAYS, "mean": told.mean(), "coverage": late},
        "explained": index.explained,
    }
    return Part(
        {"early": figures},
        [
            Bar("surrogate index, coverage where the first days carry the effect", covers, ends, "0.93 to 0.97",
                0.93 <= covers <= 0.97),
            Bar(f"the same where {LATE_DAYS} days come later", late, late_ends, "below 0.9: it must fail", late < 0.9),
        ],
    )  # fmt: skip
