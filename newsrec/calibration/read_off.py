"""What of a world stands in its log as it is: how long, of what, from how much."""

from datetime import UTC, datetime
from typing import Any

from newsrec.evaluation.log_questions import Unanswerable, candidates
from newsrec.evaluation.observations import Observations
from newsrec.events import FIRST_SIGHT, MAX_CANDIDATES, ORDINAL_TIME, microseconds
from newsrec.simulator.config import LARGEST_SLATE, SimulationConfig


def read_off(observed: Observations, base: SimulationConfig) -> dict[str, Any]:
    """Parameters of SimulationConfig by name; those that the log does not show are left out."""
    slate = max(1, min(LARGEST_SLATE, round(float(observed.lengths("slate").value.mean()))))
    found: dict[str, Any] = {"slate_size": slate}
    flags = observed.log.flags
    if ORDINAL_TIME not in flags:
        found["days"] = max(1, round(observed.days))
        found["start"] = datetime.fromtimestamp(observed.start / 1e6, UTC).date().isoformat()
    if not flags & {FIRST_SIGHT, ORDINAL_TIME}:
        published = microseconds(observed.log.articles["published_at"])
        within = int(((published >= observed.start) & (published <= observed.end)).sum())
        found["articles_per_day"] = max(1, round(within / max(observed.days, 1.0)))
    longest = _longest_candidates(observed)
    if longest is not None or slate > base.candidates:
        found["candidates"] = min(MAX_CANDIDATES, max(slate, longest or 0))
    return found


def _longest_candidates(observed: Observations) -> int | None:
    try:
        return int(candidates(observed).value.max())
    except Unanswerable:
        return None
