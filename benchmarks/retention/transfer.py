"""A new market with little data: from scratch, or from the weights of another market, whose readers are others."""

from benchmarks.results import Part
from benchmarks.retention import bars
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import Choice, study
from benchmarks.retention.size import Size
from newsrec.compare.study import Study

SOURCE, SCRATCH, WARM = "source", "scratch", "warm"
CARRIED = ["history", "content", "context", "critics"]
"""All but the identities of articles, which the other market does not have."""


def to_a_new_market(size: Size, choice: Choice) -> Study:
    learner = choice.tables[choice.best]
    logs = {"elsewhere": {"market": 1}, "here": {"world": {"readers": size.small_log_readers}}}
    contenders = {
        SCRATCH: {**learner, "log": "here"},
        WARM: {**learner, "log": "here", "warm_start": SOURCE, "warm_start_layers": CARRIED},
        SOURCE: {**learner, "log": "elsewhere"},
    }
    return study(size, contenders, size.further_seeds, logs=logs)


def measured(choice: Choice, played: Played) -> Part:
    found = bars.compared(played, WARM, SCRATCH)
    figures = bars.figures(played, SCRATCH) | {"algorithm": choice.best}
    title = f"lift of {choice.best} started from another market over the same from scratch, equal data"
    return Part({"transfer": figures}, [bars.better(title, found)])


def protocol(size: Size) -> str:
    return (
        f"The other market has {size.log_readers:,} readers, the new one {size.small_log_readers:,}, both "
        f"{size.log_days} days of uniform slates; carried over: {', '.join(CARRIED)}. As many epochs for both. Played "
        f"to {size.readers:,} readers of the new market a seed."
    )
