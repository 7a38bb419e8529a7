"""Which earlier reads drove a click or a return: what no policy sees, and what explanations are judged against.

A cause is the difference that one read made. For a click: the log-odds of it, once examined, minus what they would be
if the reader had only glanced at that earlier article; reads act on it through liking and boredom. For a return: the
log hazard at the moment of the return minus what it would be without that read of the visit before; reads act on it
through satisfaction or excitement. All else is held as it was, so what a read changed by the way (another slate,
another read) counts for nothing, and the differences of several reads do not add up where they saturate.
"""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec.features import HOUR
from newsrec.simulator.articles import Newsroom, Traits
from newsrec.simulator.identity import ids
from newsrec.simulator.response import Encounter, Reaction, ResponseFamily
from newsrec.simulator.returns import ReturnFamily
from newsrec.simulator.tastes import Tastes

READS = 50
"""Latest reads of each reader that are considered."""


class Causes:
    """Collects the causes while N readers respond; about two kilobytes a reader."""

    def __init__(
        self,
        newsroom: Newsroom,
        traits: Traits,
        tastes: Tastes,
        response: ResponseFamily,
        returns: ReturnFamily,
        seed: int,
    ) -> None:
        self._article_ids, self._topics = newsroom.table["article_id"].combine_chunks(), traits.topics
        self._tastes, self._response, self._returns, self._seed = tastes, response, returns, seed
        readers = len(tastes.lasting)
        zero = torch.zeros((readers, READS), dtype=torch.int64, device=traits.topics.device)
        # Rings: read number i of a reader lies at i % READS.
        self._count = zero[:, 0].clone()
        self._back = torch.zeros_like(self._count, dtype=torch.bool)  # left, and has not returned yet
        self._article = zero - 1
        self._user, self._decision, self._time = zero.clone(), zero.clone(), zero.clone()
        self._worth = zero.double()
        self._level = zero.double()  # of the reader after the latest slate, had this read not happened
        self._visits_ago = zero
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

    def begin(self, readers: Tensor) -> None:
        """Other readers come into the rows ``readers``."""
        self._article[readers] = -1
        self._back[readers] = False

    def observe(
        self, readers: Tensor, slate: Tensor, encounter: Encounter, reaction: Reaction, level: Tensor, hours: Tensor
    ) -> None:
        """What ``readers`` [B] did with a slate [B, K], ``hours`` [B] after their level was ``level`` [B].

        Called before tastes and level learn from it.
        """
        slate, clicked = slate.long(), reaction.clicked
        self._explain_returns(readers, encounter, level, hours)
        row, at = clicked.nonzero(as_tuple=True)
        self._explain_clicks(readers, slate, encounter, row, at)

        recent = (self._article[readers] >= 0) & (self._visits_ago[readers] == 0)
        there, slot = recent.nonzero(as_tuple=True)
        who = readers[there]
        self._level[who, slot] = self._returns.learned(
            self._level[who, slot], hours[there], reaction.worth[there], clicked[there]
        )
        others = clicked[row] & (torch.arange(slate.shape[1], device=at.device) != at[:, None])  # [R, K] also read
        without = self._returns.learned(level[row], hours[row], reaction.worth[row], others)
        number = (clicked.cumsum(1) - 1)[row, at]  # [R] among the reads of the slate
        who = readers[row]
        slot = (self._count[who] + number) % READS
        self._article[who, slot], self._worth[who, slot] = slate[row, at], reaction.worth[row, at]
        self._user[who, slot], self._decision[who, slot] = encounter.user[row], encounter.decision[row]
        self._time[who, slot], self._level[who, slot] = self._tastes.time[who], without
        self._visits_ago[who, slot] = 0
        self._count[readers] += clicked.sum(1)

    def leave(self, readers: Tensor) -> None:
        """The visit of ``readers`` ends."""
        self._visits_ago[readers] += 1
        self._back[readers] = True

    def _explain_clicks(self, readers: Tensor, slate: Tensor, encounter: Encounter, row: Tensor, at: Tensor) -> None:
        """The clicks at ``row`` [R] and position ``at`` [R] by the earlier reads of their readers."""
        click, slot = (self._article[readers[row]] >= 0).nonzero(as_tuple=True)  # [P] each, pairs of a click and a read
        row, at, who = row[click], at[click], readers[row[click]]
        tastes, read = self._tastes, self._article[who, slot]
        hours = (tastes.time[who] - self._time[who, slot]).double() / HOUR
        liked, tired = tastes.mark(self._topics[read], self._worth[who, slot], hours)
        acquired = tastes.acquired(tastes.liked[who], tastes.tired[who])  # [P, T]
        without = tastes.acquired(tastes.liked[who] - liked, tastes.tired[who] - tired)
        gain = ((acquired - without) * self._topics[slate[row, at]]).sum(1)  # [P] of match
        encounter = encounter._replace(match=encounter.match.double())
        of_reader, of_article = encounter[:4], encounter[4:]
        alone = Encounter(*(column[row] for column in of_reader), *(column[row, at, None] for column in of_article))
        otherwise = alone._replace(match=alone.match - gain[:, None])
        weight = torch.logit(self._response.chance(alone)) - torch.logit(self._response.chance(otherwise))  # [P, 1]
        self._note(self._of_clicks, encounter, row, slate[row, at], who, slot, weight[:, 0])

    def _explain_returns(self, readers: Tensor, encounter: Encounter, level: Tensor, hours: Tensor) -> None:
        candidates = (self._article[readers] >= 0) & (self._visits_ago[readers] == 1)
        row, slot = (candidates & self._back[readers, None]).nonzero(as_tuple=True)  # [P]
        who, log_factor = readers[row], self._returns.log_factor
        effect = log_factor(level[row], hours[row]) - log_factor(self._level[who, slot], hours[row])
        self._note(self._of_returns, encounter, row, torch.full_like(row, -1), who, slot, effect)
        self._back[readers] = False

    def _note(
        self,
        notes: list[tuple[np.ndarray, ...]],
        encounter: Encounter,
        row: Tensor,
        article: Tensor,
        who: Tensor,
        slot: Tensor,
        weight: Tensor,
    ) -> None:
        of_read = (column[who, slot] for column in (self._user, self._decision, self._article))
        columns = encounter.user[row], encounter.decision[row], article, *of_read, weight
        notes.append(tuple(column.cpu().numpy() for column in columns))

    def _table(self, notes: list[tuple[np.ndarray, ...]]) -> pa.Table:
        none = tuple(np.zeros(0, np.int64) for _ in range(6))
        user, decision, article, read_user, read_decision, read_article, weight = (
            np.concatenate(column) for column in zip((*none, np.zeros(0)), *notes, strict=True)
        )
        names = self._article_ids
        return pa.table(
            {
                "request_id": ids(self._seed, "r", user, decision),
                "article_id": names.take(pa.array(article, mask=article < 0)),
                "read_request_id": ids(self._seed, "r", read_user, read_decision),
                "read_article_id": names.take(pa.array(read_article)),
                "weight": weight,
            }
        )
