"""What the demo trains in the simulated newsroom, and why not all of it on another log."""

from collections.abc import Iterator
from pathlib import Path

from newsrec.doctor import diagnosis
from newsrec.doctor.finding import RETENTION
from scripts.simulated_readers import SUPERVISED

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
LONG_TERM = ("dqn", "iql")
IN_SIMULATION = tuple(
    CONFIGS / f"{name}.toml"
    for name in ("popularity", "transformer", *(f"demo/{name}" for name in (*LONG_TERM, SUPERVISED)))
)
"""What is trained where readers are simulated; the slowest of those that run side by side first."""
GATE = CONFIGS / "gates" / "simulated.toml"
"""What is asked of them there: a simulated log holds propensities, and its readers can come back."""


def left_out(data: str, timezone: str) -> Iterator[str]:
    """Which policies of the simulated demo are not trained on the log ``data``, and why.

    Raises InvalidEvents, InvalidConfig and FileNotFoundError.
    """
    log = diagnosis.read(data, timezone)
    retention = next(part for part in diagnosis.diagnose(log).parts if part.name == RETENTION)
    reasons = dict.fromkeys(LONG_TERM, retention.sentence) if retention.verdict == "unfit" else {}
    if "dwell" not in log.feedback["kind"].unique().to_pylist():
        reasons[SUPERVISED] = "the log does not say how long reads last"
    for name in (*LONG_TERM, SUPERVISED):
        how = f"python -m pipelines run --source {data} --policy configs/{name}.toml trains it"
        yield f"{name} is left out: {reasons.get(name, how)}"
