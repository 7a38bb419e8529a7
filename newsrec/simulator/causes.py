"""Which earlier reads drove a click or a return: what no policy sees, and what explanations are judged against.

A cause is the difference that one read made. For a click: the log-odds of it, once examined, minus what they would be
if the reader had only glanced at that earlier article; reads act on it through liking and boredom. For a return: the
log hazard at the moment of the return minus what it would be without that read of the visit before; reads act on it
through satisfaction or excitement. All else is held as it was, so what a read changed by the way (another slate,
another read) counts for nothing, and the differences of several reads do not add up where they saturate.
"""

import numpy as np
import pyarrow as pa
from scipy.special import logit

from newsrec.features import HOUR
from newsrec.simulator.articles import Newsroom
from newsrec.simulator.identity import ids
from newsrec.simulator.response import Encounter, Reaction, ResponseFamily
from newsrec.simulator.returns import ReturnFamily
from newsrec.simulator.tastes import Tastes

READS = 50
"""Latest reads of each reader that are considered."""


class Causes:
    """Collects the causes while N readers respond; about two kilobytes a reader."""

    def __init__(
        self, newsroom: Newsroom, tastes: Tastes, response: ResponseFamily, returns: ReturnFamily, seed: int
    ) -> None:
        self._newsroom, self._tastes, self._response, self._returns = newsroom, tastes, response, returns
        self._seed = seed
        shape = len(tastes.lasting), READS  # of a ring: read number i of a reader lies at i % READS
        self._count = np.zeros(shape[0], np.int64)
        self._back = np.zeros(shape[0], bool)  # left, and has not returned yet
        self._article = np.full(shape, -1)
        self._user, self._decision = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._time, self._worth = np.zeros(shape, np.int64), np.zeros(shape)
        self._level = np.zeros(shape)  # of the reader after the latest slate, had this read not happened
        self._visits_ago = np.zeros(shape, np.int64)
        self._of_clicks: list[tuple[np.ndarray, ...]] = []
        self._of_returns: list[tuple[np.ndarray, ...]] = []

    def clicks(self) -> pa.Table:
        """One row for each click and earlier read of the same reader: ``weight`` in log-odds of the click."""
        return self._table(self._of_clicks)

    def returns(self) -> pa.Table:
        """One row for each return and read of the visit before it: ``weight`` in the log of the hazard of a visit.

        A return is named by its first request, which is of no article.
        """
        return self._table(self._of_returns)

    def begin(self, readers: np.ndarray) -> None:
        """Other readers come into the rows ``readers``."""
        self._article[readers] = -1
        self._back[readers] = False

    def observe(
        self,
        readers: np.ndarray,
        slate: np.ndarray,
        encounter: Encounter,
        reaction: Reaction,
        level: np.ndarray,
        hours: np.ndarray,
    ) -> None:
        """What ``readers`` [B] did with a slate [B, K], ``hours`` [B] after their level was ``level`` [B].

        Called before tastes and level learn from it.
        """
        self._explain_returns(readers, encounter, level, hours)
        row, at = np.nonzero(reaction.clicked)
        self._explain_clicks(readers, slate, encounter, row, at)

        there, slot = np.nonzero((self._article[readers] >= 0) & (self._visits_ago[readers] == 0))
        who = readers[there]
        self._level[who, slot] = self._returns.learned(
            self._level[who, slot], hours[there], reaction.worth[there], reaction.clicked[there]
        )
        others = reaction.clicked[row] & (np.arange(slate.shape[1]) != at[:, None])  # [R, K] what else was read
        without = self._returns.learned(level[row], hours[row], reaction.worth[row], others)
        first = np.cumsum(np.bincount(row, minlength=len(readers))) - np.bincount(row, minlength=len(readers))
        who, slot = readers[row], (self._count[readers[row]] + np.arange(len(row)) - first[row]) % READS
        self._article[who, slot], self._worth[who, slot] = slate[row, at], reaction.worth[row, at]
        self._user[who, slot], self._decision[who, slot] = encounter.user[row], encounter.decision[row]
        self._time[who, slot], self._level[who, slot] = self._tastes.time[who], without
        self._visits_ago[who, slot] = 0
        self._count[readers] += reaction.clicked.sum(1)

    def leave(self, readers: np.ndarray) -> None:
        """The visit of ``readers`` ends."""
        self._visits_ago[readers] += 1
        self._back[readers] = True

    def _explain_clicks(
        self, readers: np.ndarray, slate: np.ndarray, encounter: Encounter, row: np.ndarray, at: np.ndarray
    ) -> None:
        """The clicks at ``row`` [R] and position ``at`` [R] by the earlier reads of their readers."""
        click, slot = np.nonzero(self._article[readers[row]] >= 0)  # [P] each, pairs of a click and a read
        row, at, who = row[click], at[click], readers[row[click]]
        tastes, topics, read = self._tastes, self._newsroom.topics, self._article[who, slot]
        hours = (tastes.time[who] - self._time[who, slot]) / HOUR
        liked, tired = tastes.mark(topics[read], self._worth[who, slot], hours)
        acquired = tastes.acquired(tastes.liked[who], tastes.tired[who])  # [P, T]
        without = tastes.acquired(tastes.liked[who] - liked, tastes.tired[who] - tired)
        gain = ((acquired - without) * topics[slate[row, at]]).sum(1)  # [P] of match
        encounter = encounter._replace(match=encounter.match.astype(np.float64))
        of_reader, of_article = encounter[:4], encounter[4:]
        alone = Encounter(*(column[row] for column in of_reader), *(column[row, at, None] for column in of_article))
        otherwise = alone._replace(match=alone.match - gain[:, None])
        weight = logit(self._response.chance(alone)) - logit(self._response.chance(otherwise))  # [P, 1]
        self._note(self._of_clicks, encounter, row, slate[row, at], who, slot, weight[:, 0])

    def _explain_returns(self, readers: np.ndarray, encounter: Encounter, level: np.ndarray, hours: np.ndarray) -> None:
        candidates = (self._article[readers] >= 0) & (self._visits_ago[readers] == 1)
        row, slot = np.nonzero(candidates & self._back[readers, None])  # [P]
        who, log_factor = readers[row], self._returns.log_factor
        effect = log_factor(level[row], hours[row]) - log_factor(self._level[who, slot], hours[row])
        self._note(self._of_returns, encounter, row, np.full(len(row), -1), who, slot, effect)
        self._back[readers] = False

    def _note(
        self,
        notes: list[tuple[np.ndarray, ...]],
        encounter: Encounter,
        row: np.ndarray,
        article: np.ndarray,
        who: np.ndarray,
        slot: np.ndarray,
        weight: np.ndarray,
    ) -> None:
        of_read = (column[who, slot] for column in (self._user, self._decision, self._article))
        notes.append((encounter.user[row], encounter.decision[row], article, *of_read, weight))

    def _table(self, notes: list[tuple[np.ndarray, ...]]) -> pa.Table:
        none = tuple(np.zeros(0, np.int64) for _ in range(6))
        user, decision, article, read_user, read_decision, read_article, weight = (
            np.concatenate(column) for column in zip((*none, np.zeros(0)), *notes, strict=True)
        )
        names = self._newsroom.table["article_id"].combine_chunks()
        return pa.table(
            {
                "request_id": ids(self._seed, "r", user, decision),
                "article_id": names.take(pa.array(article, mask=article < 0)),
                "read_request_id": ids(self._seed, "r", read_user, read_decision),
                "read_article_id": names.take(pa.array(read_article)),
                "weight": weight,
            }
        )
