"""Who was assigned to which arm, and when: the readers who count, whatever they did afterwards (intention to treat).

Two populations, both fixed before an arm could touch anybody:

- *at the first request*: readers with a decision in the experiment, from the first of these on. Nobody knew their arm
  until then, so who comes at all cannot depend on it. New readers are among them.
- *at the start*: readers who were known before the experiment, all assigned at one moment by the same keyed hash that
  serves (``newsrec.assignment``). Those who never came back are among them, with zeros: the figure of all readers.

A reader who was seen in another arm too stays in the arm of the assignment, and is counted. Assignment is sticky, so
there should be none; with more than a few the experiment is refused, since leaving them out would leave out the
readers who come often.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from newsrec import assignment
from newsrec.config import InvalidConfig
from newsrec.events import NO_READER_IDS, ORDINAL_TIME, EventLog, InvalidEvents, microseconds
from newsrec.features import DAY


class Assigned(NamedTuple):
    """N readers of an experiment."""

    experiment: str
    arms: tuple[str, ...]
    """In alphabetical order."""
    reader: pa.Array  # [N] string, each once
    arm: np.ndarray  # [N] int64, position in ``arms``
    time: np.ndarray  # [N] int64, microseconds, of the assignment
    crossed: np.ndarray  # [N] bool, decisions of another arm of the experiment too

    def counts(self) -> dict[str, int]:
        """Readers by arm."""
        return dict(zip(self.arms, np.bincount(self.arm, minlength=len(self.arms)).tolist(), strict=True))

    def refuse_crossed(self, most: float) -> None:
        """Raise InvalidEvents where more than the share ``most`` of the readers were in several arms."""
        crossed = int(self.crossed.sum())
        if crossed > most * len(self.arm):
            first = self.reader[int(np.flatnonzero(self.crossed)[0])]
            found = f"experiment {self.experiment}: found {crossed} of {len(self.arm)} readers in more than one arm"
            expected = f"expected at most {most:.2%}: was the salt or the experiment's name changed while it ran?"
            raise InvalidEvents(f"{found}, such as {first}; {expected}")


def only_experiment(log: EventLog) -> str:
    """The one experiment of ``log``. Raises InvalidConfig where it has none or several."""
    names = sorted(pc.unique(log.decisions["experiment"].drop_null()).to_pylist())
    if len(names) != 1:
        expected = "expected a name of one of them" if names else "expected decisions with experiment and arm"
        raise InvalidConfig(f"the log has {len(names)} experiments ({', '.join(names) or 'none'}), {expected}")
    return str(names[0])


def at_first_request(log: EventLog, experiment: str) -> Assigned:
    """The readers with a decision in ``experiment``, assigned by the first; InvalidEvents without any."""
    made = _decisions(log, experiment).sort_by([("time", "ascending"), ("request_id", "ascending")])
    arms, arm = _arms(made)
    codes = made["user_id"].combine_chunks().dictionary_encode()
    user = codes.indices.to_numpy()
    first = np.unique(user, return_index=True)[1]  # [N], codes count from 0 in order of appearance
    crossed = np.zeros(len(first), bool)
    crossed[user[arm != arm[first][user]]] = True
    return Assigned(experiment, arms, codes.dictionary, arm[first], microseconds(made["time"])[first], crossed)


def at_start(
    log: EventLog, experiment: str, start: int, shares: Mapping[str, float], salt: str, before_days: int = 28
) -> Assigned:
    """The readers with a decision in the ``before_days`` before ``start`` (microseconds), assigned then by their hash.

    Raises InvalidEvents where nobody is known, InvalidConfig for shares that are none.
    """
    refuse_unfit(log)
    time = microseconds(log.decisions["time"])
    known = log.decisions.filter(pa.array((time < start) & (time >= start - before_days * DAY)))
    reader = pc.unique(known["user_id"].combine_chunks()) if known.num_rows else pa.array([], pa.string())
    if not len(reader):
        raise InvalidEvents(f"found no reader in the {before_days} days before the experiment, expected its readers")
    arms = tuple(sorted(name for name, share in shares.items() if share > 0.0))
    arm = np.array([arms.index(assignment.arm(name, experiment, shares, salt)) for name in reader.to_pylist()])
    served = _decisions(log, experiment)
    row = pc.index_in(served["user_id"], value_set=reader)
    served_arm = pc.fill_null(pc.index_in(served["arm"], value_set=pa.array(arms)), -1).to_numpy()
    among = row.is_valid().to_numpy()
    row = pc.fill_null(row, 0).to_numpy()
    crossed = np.zeros(len(reader), bool)
    crossed[row[among & (served_arm != arm[row])]] = True
    return Assigned(experiment, arms, reader, arm, np.full(len(reader), start, np.int64), crossed)


def first_requests(log: EventLog, since: int, until: int) -> Assigned:
    """The readers with a decision in [``since``, ``until``) microseconds, by the first there: as if it had been a test.

    Of one arm, and possibly nobody.
    """
    refuse_unfit(log)
    time = microseconds(log.decisions["time"])
    made = log.decisions.filter(pa.array((time >= since) & (time < until))).sort_by("time")
    codes = made["user_id"].combine_chunks().dictionary_encode()
    first = np.unique(codes.indices.to_numpy(), return_index=True)[1]
    nobody = np.zeros(len(first), bool)
    return Assigned("", ("all",), codes.dictionary, nobody.astype(np.int64), microseconds(made["time"])[first], nobody)


def refuse_unfit(log: EventLog) -> None:
    """Raise InvalidEvents for a log without a clock or without readers, on which nothing of this can be told."""
    for flag, lacks in ((ORDINAL_TIME, "no clock"), (NO_READER_IDS, "no reader ids")):
        if flag in log.flags:
            raise InvalidEvents(f"the log has {lacks} ({flag}); an experiment counts the days of readers")


def _decisions(log: EventLog, experiment: str) -> pa.Table:
    """Those of ``experiment`` that name an arm."""
    refuse_unfit(log)
    decisions = log.decisions
    here = pc.and_(pc.equal(decisions["experiment"], experiment), decisions["arm"].is_valid())
    made = decisions.filter(here)
    if not made.num_rows:
        names = sorted(pc.unique(decisions["experiment"].drop_null()).to_pylist())
        found = f"found no decision with an arm in experiment {experiment}"
        raise InvalidEvents(f"{found}; the log's experiments are {', '.join(names) or 'none'}")
    return made


def _arms(made: pa.Table) -> tuple[tuple[str, ...], np.ndarray]:
    """The arms by name, and that of each decision."""
    arms = tuple(sorted(pc.unique(made["arm"]).to_pylist()))
    return arms, pc.index_in(made["arm"], value_set=pa.array(arms)).to_numpy().astype(np.int64)
