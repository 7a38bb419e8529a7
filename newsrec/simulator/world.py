"""The truth of a simulated newsroom: who asks for a slate next, what they do with it, and when they come back.

Reader n sees article j at position k (from 0) at time t. Hidden: interests ``a_n`` over topics, patience ``p_n``;
topics ``x_j``, quality ``q_j``, clickbait ``b_j``, half-life ``h_j``. Every other name is a field of the
configurations; by default all of them are assumed, ``newsrec.calibration`` estimates some from a log.

To the site a reader is a user. A share ``cookie_clearers`` of the readers comes, with P = ``cookie_clearing`` at each
visit, as a user that nobody has seen before; to themselves they stay who they are.

Interests: a lasting part ``l_n``, a drift around it, what good reads have added and too many have taken, by topic i::

    interest     a_ni = l_ni + D_ni + liking L_ni / (|L_ni| + liking_reads) - boredom B_ni / (B_ni + boredom_reads)
    drift        D is an Ornstein-Uhlenbeck process at full days: D += (r - 1) D + drift sqrt(1 - r^2) Normal(0, 1),
                 r = 0.5 ** (1 / drift_days)
    liking       each read adds (2 w - 1) x_ji to L, which halves every liking_days: tastes are also made by reading
                 (Jiang et al. 2019)
    boredom      each read adds x_ji to B, which halves every boredom_hours, each other examined article glance x_ji:
                 what was had lately is worth less, and recovers (Leqi et al. 2021, "rebounding bandits")

Shocks: on a day with P = 1 - exp(-per_month / 30) one begins at some time, on some topic, with ``log strength s ~
Normal(0, strength_spread)``, and lasts ``hours``. While it lasts the newsroom publishes 1 + supply s times as much, and
what is more is on its topic; everybody's interest in it gains interest s; every habit is multiplied by 1 + demand s.

What both families of responses are told::

    match          m = a_n . x_j
    freshness      f = 0.5 ** (age / h_j)
    repetition     r = times examined in the last MEMORY slates; an article read in them is not clicked
    disappointment g = clickbait_cost b_j

Response ``utility``: each article by itself, with position bias (Richardson et al. 2007; Chuklin et al. 2015, sec. 3)::

    examined     P = (k + 1) ** -position_bias
    click        P = sigmoid(base + interest m + quality q_j + clickbait b_j + freshness f - repetition r) if examined
    worth        w = sigmoid(worth_base + worth_interest m + worth_quality q_j - worth_clickbait g)
    dwell        log d ~ Normal(log dwell_seconds + dwell_worth (w - 0.5) + 0.3 log(words / 500), dwell_spread)
    after a click    like, share, comment with P = like w, share w, comment w
    without one      hide with P = hide (1 - w)^2 if examined
    stay         P = sigmoid(p_n + patience_click [any click]): asks for another slate, else leaves

Response ``cascade``: down the slate, where what was found so far decides about the next one. That readers go from top
to bottom and that a find makes the rest less likely to be seen is the cascade model of Craswell et al. (2008), made for
one click; that a reader goes on after a disappointing find and may give up anywhere is its heir for several clicks, the
dynamic Bayesian network of Chapelle and Zhang (2009; Chuklin et al. 2015, chapter 3)::

    appeal       u = interest m + quality q_j + clickbait b_j + freshness f - repetition r + Normal(0, 1)
    click        u > threshold_n ~ Normal(threshold, threshold_spread), one for each reader: P = Phi(...) if examined
    worth        w = Phi(Phi^-1(substance) + substance_interest m + substance_quality q_j) exp(-disappointment g)
    examined     the first article; behind a read another one with P = 1 - satiation w,
                 behind the s-th skip in a row with P = persistence (1 - weariness) ** (s - 1)
    dwell        d ~ Weibull(dwell_shape) with scale fleeting_seconds (1 - w) + engaged_seconds w (Liu et al. 2010),
                 until words / words_per_second
    after a click    like, share, comment with P = like w^2, share w^2, comment w^2
    without one      hide with P = hide (1 - P(click))^2 if examined
    stay         P = sigmoid(p_n) ** e; e = haste for the bored, 1 for the satisfied, 1 / haste for those who saw all

Habit ``habit_n(t)`` is a curve over the reader's own week, 1 on average. No visit begins before half an hour has passed
since the last one.

A share ``bots`` of the readers are programs instead. Their hazard is ``bot_visits_per_day``, even over the week; they
click with P = click, whatever it is, report a dwell with P = dwell, exponential with mean dwell_seconds, like nothing
and never become satisfied; a visit ends after each slate with P = 1 / slates.

Return ``hazard``: a proportional hazard, scaled by satisfaction ``S_n`` in (0, 1)::

    S leaks      (S - neutral) halves every leak_hours
    S learns     after a slate with reads: S += (1 - (1 - read_weight) ** reads) (mean worth of the reads - S)
                 without: S += empty_weight (empty_value - S)
    next visit   hazard(t) = visits_n habit_n(t) (S / neutral) ** elasticity, S as it was when the reader left

Return ``self_exciting``: a good read draws the reader back for some days. Where elasticity is 1 and excitement
``X_n`` is small this is Hawkes (1971) with an exponential kernel; X saturates below 1, so that nobody's visits explode,
and the exponent makes it a nonlinear one (Bremaud and Massoulie 1996)::

    X fades      halves every half_life_hours
    X jumps      for each read: X += jump max(w - threshold, 0) / (1 - threshold) (1 - X)
    next visit   hazard(t) = visits_n habit_n(t) (1 + peak X(t)) ** elasticity, drawn by thinning (Ogata 1981)

Clickbait thus raises clicks and lowers worth, hence satisfaction or excitement and, where the elasticity is positive,
return. Who has a low hazard has as good as left; the log's end censors. Which reads drove a click or a return is
recorded by ``newsrec.simulator.causes``. Feedback arrives log-normally seconds after its time; for a share
``late_share`` of the slates (a phone without connection) minutes to hours later.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from newsrec.config import InvalidConfig
from newsrec.features import HOUR, SESSION_GAP_MINUTES
from newsrec.simulator import luck
from newsrec.simulator.arrival import arrival_delay, lateness
from newsrec.simulator.articles import TOPIC_NAMES, Newsroom, Traits, publish
from newsrec.simulator.bots import Bots
from newsrec.simulator.cascade import Cascade
from newsrec.simulator.causes import Causes
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.hazard import Hazard
from newsrec.simulator.identity import ids, user_number
from newsrec.simulator.readers import DEVICE_SHARE, settle
from newsrec.simulator.response import DWELL, IMPRESSION, LEAVE, SECOND, Encounter, Feedback, Reaction, ResponseFamily
from newsrec.simulator.returns import Absence, ReturnFamily
from newsrec.simulator.rhythm import Rhythm
from newsrec.simulator.self_exciting import SelfExciting
from newsrec.simulator.shocks import TopicGains, strike
from newsrec.simulator.tastes import Tastes
from newsrec.simulator.utility import Utility

RESPONSES: dict[str, Callable[..., ResponseFamily]] = {"utility": Utility, "cascade": Cascade}
RETURNS: dict[str, Callable[..., ReturnFamily]] = {"hazard": Hazard, "self_exciting": SelfExciting}
"""Name of a family, and of its table in the configuration -> the family."""
MEMORY = 6
"""Slates that a reader remembers."""


def found(device: torch.device | str) -> torch.device:
    """``device``, if this machine has it. Raises InvalidConfig."""
    try:
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError):  # torch raises one or the other, by how it was built
        raise InvalidConfig(f"device is {device}, expected cpu or one that this machine has, such as cuda:0") from None


class Requests(NamedTuple):
    """What a site is told of B readers who ask for a slate, in main memory; all [B]."""

    user: np.ndarray  # int64, who each is to the site
    decision: np.ndarray  # int64, slates that the user had before
    visit: np.ndarray  # int64, visits that the user had before
    time: np.ndarray  # int64, microseconds


class World:
    """N readers: those with the numbers ``number`` [N], by default all of the configuration, and its ``newsroom``.

    ``next_time`` [N] is the moment of each one's next request; ``respond`` answers it and moves it on. All that is kept
    of readers are tensors on ``device``; rows of readers, slates and what a site is told are arrays.

    What a reader does is a function of the configuration, of their number and of the slates that they got, whoever else
    is simulated.
    """

    def __init__(
        self,
        config: SimulationConfig,
        record_causes: bool = False,
        number: np.ndarray | None = None,
        newsroom: Newsroom | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        number = np.arange(config.readers) if number is None else number
        self.config, n, seed, self.on = config, len(number), config.seed, found(device)
        start = config.start_time
        self.shocks = strike(config.shocks, len(TOPIC_NAMES), start, config.days, seed)
        self.topic_gains = TopicGains(self.shocks, len(TOPIC_NAMES), self.on)
        self.newsroom = newsroom or publish(
            config.newsroom, config.articles_per_day, start, config.days, seed, self.shocks
        )
        self.traits = Traits.of(self.newsroom, self.on)
        self.number = self._tensor(number).clone()
        """Of each reader, among all that there could be."""
        self.population = settle(config.population, number, seed, self.on)
        self.tastes = Tastes(config.tastes, self.population.interests, self.number, start, seed)
        response, returns = config.response_family, config.return_family
        self.response = RESPONSES[response](getattr(config, response), seed)
        self.bots = Bots(config.bots, seed)
        rhythm = Rhythm(self.population, self.shocks)
        self.returns = RETURNS[returns](getattr(config, returns), config.elasticity, rhythm, seed)
        zero = torch.zeros_like(self.number)  # int64
        self.user = zero.clone()
        """Who each reader is to the site."""
        self.decision, self.visit = zero.clone(), zero.clone()
        """Slates that each user has had, and visits that each has ended."""
        self.level = torch.zeros(n, dtype=torch.float64, device=self.on)
        """Satisfaction or excitement of each reader after their latest slate, by the family of returns."""
        self.level_at = zero.clone()
        """When that was, microseconds."""
        self.next_time = zero.clone()
        self._clearings = zero
        memory = n, MEMORY, config.slate_size
        self._memory = torch.zeros(memory, dtype=torch.int32, device=self.on)  # article + 1, below 0 if read; 0: none
        self.causes: Causes | None = None
        """Hidden from policies: which reads drove clicks and returns, if ``record_causes``."""
        if record_causes:
            self.causes = Causes(self.newsroom, self.traits, self.tastes, self.response, self.returns, seed)
        self._begin(torch.arange(n, device=self.on))

    def begin(self, readers: np.ndarray, number: np.ndarray) -> None:
        """Put the readers with these numbers [B] into the rows ``readers`` [B], at the beginning of their story."""
        rows = self._tensor(readers)
        self.number[rows] = self._tensor(number)
        arriving = settle(self.config.population, number, self.config.seed, self.on)
        for column, values in zip(self.population, arriving, strict=True):
            column[rows] = values
        self.tastes.begin(rows)
        if self.causes:
            self.causes.begin(rows)
        self._begin(rows)

    def _begin(self, readers: Tensor) -> None:
        self._clearings[readers] = self.decision[readers] = self.visit[readers] = 0
        self._memory[readers] = 0
        self.user[readers] = user_number(self.config.seed, self.number[readers], self._clearings[readers])
        self.level[readers] = self.returns.rest
        self.level_at[readers] = self.config.start_time
        self.next_time[readers] = self._next_visit(readers, self.level_at[readers])

    def due(self, moment: int, readers: np.ndarray | None = None) -> np.ndarray:
        """The rows, of ``readers`` or of all, that ask for a slate before ``moment``, in order."""
        if readers is None:
            return (self.next_time < moment).nonzero()[:, 0].cpu().numpy()
        return readers[(self.next_time[self._tensor(readers)] < moment).cpu().numpy()]

    def requests(self, readers: np.ndarray) -> Requests:
        """The next requests of ``readers`` [B]."""
        rows = self._tensor(readers)
        columns = self.user, self.decision, self.visit, self.next_time
        return Requests(*(column[rows].cpu().numpy() for column in columns))

    def device(self, readers: np.ndarray, user: np.ndarray, visit: np.ndarray) -> np.ndarray:
        """The device of the visit [B] of ``readers`` [B] as ``user`` [B], row of DEVICES: [B] int64."""
        rows, keys = self._tensor(readers), (self._tensor(user), self._tensor(visit))
        (state,) = luck.states(self.config.seed, ("device of a visit",), *keys)  # [B]
        u = luck.uniform(state, luck.numbers(2, self.on)[:, None])  # [2, B]
        other = torch.searchsorted(self._tensor(np.cumsum(DEVICE_SHARE)[:-1]), u[1])
        return torch.where(u[0] < 0.85, self.population.device[rows], other).cpu().numpy()

    @torch.inference_mode()
    def respond(self, readers: np.ndarray, slate: np.ndarray) -> Feedback:
        """What each of ``readers`` [B] does with their ``slate`` [B, K] of article rows, -1 behind its end.

        No reader twice. Their clock, tastes, level and memory move on.
        """
        rows, articles = self._tensor(readers), self._tensor(slate)
        now = self.next_time[rows]
        encounter, bot = self.encounter(readers, slate), self.population.bot[rows]
        reaction = self.response.react(encounter)
        programs = bot.nonzero()[:, 0]
        if len(programs):
            for column, values in zip(reaction, self.bots.react(encounter.take(programs)), strict=True):
                column[programs] = values
        feedback = self._feedback(rows, encounter, articles, now, reaction)
        level, hours = self.level[rows], (now - self.level_at[rows]).double() / HOUR
        if self.causes:
            of_people = reaction._replace(clicked=reaction.clicked & ~bot[:, None])
            self.causes.observe(rows, articles, encounter, of_people, level, hours)
        self._remember(rows, articles, reaction)
        topics = self.traits.topics[articles.clamp(min=0).long()]  # [B, K, T]
        self.tastes.learn(rows, topics, reaction.examined, reaction.clicked, reaction.worth)
        learned = self.returns.learned(level, hours, reaction.worth, reaction.clicked)
        self.level[rows] = learned.masked_fill_(bot, self.returns.rest)
        self.level_at[rows] = now
        end = now + (reaction.end * SECOND).long()
        self.decision[rows] = encounter.decision + 1
        self.next_time[rows] = end + 2 * SECOND
        left = reaction.left.nonzero()[:, 0]
        gone = rows[left]
        self.visit[gone] += 1
        if self.causes:
            self.causes.leave(gone)
        self._clear_cookies(gone)
        self.next_time[gone] = self._next_visit(gone, end[left] + SESSION_GAP_MINUTES * 60 * SECOND)
        return feedback

    def users(self) -> pa.Table:
        """Hidden from policies: the number of the reader behind each ``user_id`` so far, and whether it is a bot."""
        times = self._clearings.cpu().numpy() + 1
        number = np.repeat(self.number.cpu().numpy(), times)
        clearings = np.arange(len(number)) - np.repeat(np.cumsum(times) - times, times)
        user = user_number(self.config.seed, number, clearings)
        bot = np.repeat(self.population.bot.cpu().numpy(), times)
        return pa.table({"user_id": ids(self.config.seed, "u", user), "reader": number, "bot": bot})

    @torch.inference_mode()
    def encounter(self, readers: np.ndarray, articles: np.ndarray) -> Encounter:
        """What ``articles`` [B, K] (rows, -1 behind the end) are to ``readers`` [B] at their next moment."""
        rows, traits, listed = self._tensor(readers), self.traits, self._tensor(articles)
        article, now = listed.clamp(min=0).long(), self.next_time[rows]
        shown = (article.int() + 1).T.contiguous()  # [K, B]
        memory = self._memory[rows].flatten(1).T.contiguous()[:, None]  # [MEMORY slates, one behind the other, 1, B]
        age = (now[:, None] - traits.published[article]).double() / HOUR
        interests = self.tastes.at(rows, now)  # [B, T]
        if len(self.topic_gains):
            interests = (interests + self.topic_gains.at(now)).float()
        clickbait = traits.clickbait[article]
        return Encounter(
            reader=self.number[rows],
            user=self.user[rows],
            decision=self.decision[rows],
            patience=self.population.patience[rows],
            present=listed >= 0,
            match=(interests[:, None] * traits.topics[article]).sum(2),
            quality=traits.quality[article],
            clickbait=clickbait,
            disappointment=self.config.clickbait_cost * clickbait,
            freshness=torch.exp2(-age / traits.half_life[article]),
            words=traits.body_words[article],
            repetition=(memory.abs() == shown).view(torch.uint8).sum(0, dtype=torch.int16).T.long(),
            known=(memory == -shown).view(torch.uint8).amax(0).T.bool(),
        )

    def _feedback(
        self, readers: Tensor, encounter: Encounter, slate: Tensor, now: Tensor, reaction: Reaction
    ) -> Feedback:
        config, user, decision = self.config, encounter.user, encounter.decision
        row, kind, position = reaction.happened.nonzero(as_tuple=True)  # [M]
        time = now[row] + (reaction.moment[row, kind, position] * SECOND).long()
        (state,) = luck.states(config.seed, ("delay",), user, decision)  # [B]
        late = lateness(config.arrival, config.seed, user, decision)  # [B]
        begins = (kind != IMPRESSION) | (position == 0)  # a call to the site; a slate's impressions share one
        call = begins.nonzero()[:, 0]
        delay = arrival_delay(config.seed, state[row[call]], kind[call], position[call], late[row[call]])
        events = (
            readers[row],
            user[row],
            decision[row],
            kind,
            position,
            slate[row, position].long().masked_fill_(kind == LEAVE, -1),
            reaction.dwell[row, position].masked_fill_(kind != DWELL, torch.nan),
            time,
            time + delay[begins.cumsum(0) - 1],
        )
        return Feedback(*(column.cpu().numpy() for column in events))

    def _remember(self, readers: Tensor, slate: Tensor, reaction: Reaction) -> None:
        memory = self._memory[readers].roll(1, 1)  # [B, MEMORY, K], the oldest comes first
        memory[:, 0] = 0
        seen = (slate + 1).masked_fill_(~reaction.examined, 0)
        memory[:, 0, : slate.shape[1]] = torch.where(reaction.clicked, -seen, seen)
        self._memory[readers] = memory

    def _clear_cookies(self, readers: Tensor) -> None:
        """Some of ``readers`` [B], who have just left, will come back as users that nobody knows."""
        readers = readers[self.population.clearing[readers] > 0.0]
        if not len(readers):
            return
        (state,) = luck.states(self.config.seed, ("cookies",), self.user[readers], self.visit[readers])  # [B]
        cleared = readers[luck.uniform(state) < self.population.clearing[readers]]
        self._clearings[cleared] += 1
        self.user[cleared] = user_number(self.config.seed, self.number[cleared], self._clearings[cleared])
        self.decision[cleared] = self.visit[cleared] = 0

    def _next_visit(self, readers: Tensor, start: Tensor) -> Tensor:
        """[B] int64, microseconds."""
        level, since = self.level[readers], self.level_at[readers]
        return self.returns.next_visit(Absence(readers, self.user[readers], self.visit[readers], level, since, start))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.on)
