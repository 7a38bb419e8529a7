"""Every contender with three training seeds, and which four go on: the two best of each side."""

from benchmarks.results import Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import OFFLINE, Choice, Tables, long_term, study, untuned
from benchmarks.retention.size import Size
from newsrec.compare.study import Study

FINALISTS = 2
"""Of each side."""


def screen(size: Size, tables: Tables) -> Study:
    return study(size, tables, size.screening_seeds)


def chosen(tables: Tables, played: Played) -> Choice:
    """The finalists by mean active days, and the best of the offline algorithms."""
    order = sorted(played, key=lambda name: -bars.mean(played, name))
    return _choice(tables, order)


def guessed(tables: Tables) -> Choice:
    """Somebody of each side, to say what it costs before anybody is chosen."""
    return _choice(tables, sorted(tables, key=lambda name: name == "popularity"))


def _choice(tables: Tables, order: list[str]) -> Choice:
    ours, theirs = ([name for name in order if long_term(name) is side][:FINALISTS] for side in (True, False))
    return Choice(tables, tuple(theirs), tuple(ours), next(name for name in order if name in OFFLINE))


def measured(size: Size, choice: Choice, played: Played) -> Part:
    """No bar: few seeds choose, they prove nothing."""
    found = bars.figures(played, choice.supervised[0])
    picked = {"supervised": choice.supervised, "long_term": choice.long_term, "offline": choice.offline}
    return Part({"screening": found | {"chosen": picked}}, [])


def protocol(size: Size) -> str:
    tuned = (
        f"Each contender tuned with {size.trials} trials, the run as it is among them, by active days of "
        f"{size.tuning_readers:,} readers in {size.tuning_days} days, who judge nobody later; its best trial played "
        "with three temperatures. Then trained"
        if size.trials
        else f"Nobody tuned: {', '.join(untuned(size))} as in the file, where published recommenders have the values "
        "that newsrec tune found. Trained"
    )
    return (
        f"{tuned} on logs of {size.log_readers:,} readers and {size.log_days} days of "
        f"uniform slates, {size.epochs} epochs, and played to {size.readers:,} other readers a seed for {size.days} "
        f"days."
    )
