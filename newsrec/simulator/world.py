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

import numpy as np
import pyarrow as pa

from newsrec.features import HOUR, SESSION_GAP_MINUTES
from newsrec.simulator import draws
from newsrec.simulator.arrival import arrival_delay, lateness
from newsrec.simulator.articles import TOPIC_NAMES, Newsroom, publish
from newsrec.simulator.bots import Bots
from newsrec.simulator.cascade import Cascade
from newsrec.simulator.causes import Causes
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.hazard import Hazard
from newsrec.simulator.identity import ids, user_number
from newsrec.simulator.readers import DEVICE_SHARE, settle
from newsrec.simulator.response import DWELL, LEAVE, SECOND, Encounter, Feedback, Reaction, ResponseFamily
from newsrec.simulator.returns import Absence, ReturnFamily
from newsrec.simulator.rhythm import Rhythm
from newsrec.simulator.self_exciting import SelfExciting
from newsrec.simulator.shocks import strike
from newsrec.simulator.tastes import Tastes
from newsrec.simulator.utility import Utility

RESPONSES: dict[str, Callable[..., ResponseFamily]] = {"utility": Utility, "cascade": Cascade}
RETURNS: dict[str, Callable[..., ReturnFamily]] = {"hazard": Hazard, "self_exciting": SelfExciting}
"""Name of a family, and of its table in the configuration -> the family."""
MEMORY = 6
"""Slates that a reader remembers."""


class World:
    """N readers: those with the numbers ``number`` [N], by default all of the configuration, and its ``newsroom``.

    ``next_time`` [N] is the moment of each one's next request; ``respond`` answers it and moves it on.

    What a reader does is a function of the configuration, of their number and of the slates that they got, whoever else
    is simulated.
    """

    def __init__(
        self,
        config: SimulationConfig,
        record_causes: bool = False,
        number: np.ndarray | None = None,
        newsroom: Newsroom | None = None,
    ) -> None:
        number = np.arange(config.readers) if number is None else number.copy()
        self.config, n, seed = config, len(number), config.seed
        start = config.start_time
        self.shocks = strike(config.shocks, len(TOPIC_NAMES), start, config.days, seed)
        self.newsroom = newsroom or publish(
            config.newsroom, config.articles_per_day, start, config.days, seed, self.shocks
        )
        self.number = number
        """Of each reader, among all that there could be."""
        self.population = settle(config.population, self.number, seed)
        self.tastes = Tastes(config.tastes, self.population.interests, self.number, start, seed)
        response, returns = config.response_family, config.return_family
        self.response = RESPONSES[response](getattr(config, response), seed)
        self.bots = Bots(config.bots, seed)
        rhythm = Rhythm(self.population, self.shocks)
        self.returns = RETURNS[returns](getattr(config, returns), config.elasticity, rhythm, seed)
        self.user = np.zeros(n, np.int64)
        """Who each reader is to the site."""
        self.decision, self.visit = np.zeros(n, np.int64), np.zeros(n, np.int64)
        """Slates that each user has had, and visits that each has ended."""
        self.level = np.zeros(n)
        """Satisfaction or excitement of each reader after their latest slate, by the family of returns."""
        self.level_at = np.zeros(n, np.int64)
        """When that was, microseconds."""
        self.next_time = np.zeros(n, np.int64)
        self._clearings = np.zeros(n, np.int64)
        self._memory = np.zeros((n, MEMORY, config.slate_size), np.int32)  # article + 1, negative where read; 0: none
        self.causes: Causes | None = None
        """Hidden from policies: which reads drove clicks and returns, if ``record_causes``."""
        if record_causes:
            self.causes = Causes(self.newsroom, self.tastes, self.response, self.returns, seed)
        self._begin(np.arange(n))

    def begin(self, readers: np.ndarray, number: np.ndarray) -> None:
        """Put the readers with these numbers [B] into the rows ``readers`` [B], at the beginning of their story."""
        self.number[readers] = number
        arriving = settle(self.config.population, number, self.config.seed)
        for column, values in zip(self.population, arriving, strict=True):
            column[readers] = values
        self.tastes.begin(readers)
        if self.causes:
            self.causes.begin(readers)
        self._begin(readers)

    def _begin(self, readers: np.ndarray) -> None:
        self._clearings[readers] = self.decision[readers] = self.visit[readers] = self._memory[readers] = 0
        self.user[readers] = user_number(self.config.seed, self.number[readers], self._clearings[readers])
        self.level[readers] = self.returns.rest
        self.level_at[readers] = self.config.start_time
        self.next_time[readers] = self._next_visit(readers, self.level_at[readers])

    def device(self, readers: np.ndarray) -> np.ndarray:
        """The device of each reader's current visit, row of DEVICES: [B] int64."""
        keys = self.user[readers, None], self.visit[readers, None], np.arange(2)
        u = draws.uniform(self.config.seed, "device of a visit", *keys)  # [B, 2]
        other = np.searchsorted(np.cumsum(DEVICE_SHARE)[:-1], u[:, 1])
        return np.where(u[:, 0] < 0.85, self.population.device[readers], other)

    def respond(self, readers: np.ndarray, slate: np.ndarray) -> Feedback:
        """What each of ``readers`` [B] does with their ``slate`` [B, K] of article rows, -1 behind its end.

        No reader twice. Their clock, tastes, level and memory move on.
        """
        now = self.next_time[readers]
        encounter, bot = self.encounter(readers, slate), self.population.bot[readers]
        reaction = self.response.react(encounter)
        if bot.any():
            for column, values in zip(reaction, self.bots.react(encounter.take(bot)), strict=True):
                column[bot] = values
        feedback = self._feedback(readers, slate, now, reaction)
        level, hours = self.level[readers], (now - self.level_at[readers]) / HOUR
        if self.causes:
            of_people = reaction._replace(clicked=reaction.clicked & ~bot[:, None])
            self.causes.observe(readers, slate, encounter, of_people, level, hours)
        self._remember(readers, slate, reaction)
        topics = self.newsroom.topics[np.maximum(slate, 0)]  # [B, K, T]
        self.tastes.learn(readers, topics, reaction.examined, reaction.clicked, reaction.worth)
        learned = self.returns.learned(level, hours, reaction.worth, reaction.clicked)
        self.level[readers] = np.where(bot, self.returns.rest, learned)
        self.level_at[readers] = now
        end = now + (reaction.end * SECOND).astype(np.int64)
        self.decision[readers] += 1
        self.next_time[readers] = end + 2 * SECOND
        gone = readers[reaction.left]
        self.visit[gone] += 1
        if self.causes:
            self.causes.leave(gone)
        self._clear_cookies(gone)
        self.next_time[gone] = self._next_visit(gone, end[reaction.left] + SESSION_GAP_MINUTES * 60 * SECOND)
        return feedback

    def users(self) -> pa.Table:
        """Hidden from policies: the number of the reader behind each ``user_id`` so far, and whether it is a bot."""
        times = self._clearings + 1
        number = np.repeat(self.number, times)
        clearings = np.arange(len(number)) - np.repeat(np.cumsum(times) - times, times)
        user = user_number(self.config.seed, number, clearings)
        bot = np.repeat(self.population.bot, times)
        return pa.table({"user_id": ids(self.config.seed, "u", user), "reader": number, "bot": bot})

    def encounter(self, readers: np.ndarray, articles: np.ndarray) -> Encounter:
        """What ``articles`` [B, K] (rows, -1 behind the end) are to ``readers`` [B] at their next moment."""
        newsroom, article, now = self.newsroom, np.maximum(articles, 0), self.next_time[readers]
        shown, memory = article[:, :, None, None] + 1, self._memory[readers, None]  # [B, K, 1, 1], [B, 1, MEMORY, K]
        age = (now[:, None] - newsroom.published[article]) / HOUR
        interests = self.tastes.at(readers, now)  # [B, T]
        if len(self.shocks.topic):
            np.add.at(interests.T, self.shocks.topic, (self.shocks.lasting(now) * self.shocks.interest).T)
        return Encounter(
            reader=self.number[readers],
            user=self.user[readers],
            decision=self.decision[readers],
            patience=self.population.patience[readers],
            present=articles >= 0,
            match=np.einsum("bt,bkt->bk", interests, newsroom.topics[article]),
            quality=newsroom.quality[article],
            clickbait=newsroom.clickbait[article],
            disappointment=self.config.clickbait_cost * newsroom.clickbait[article],
            freshness=np.exp2(-age / newsroom.half_life[article]),
            words=newsroom.body_words[article],
            repetition=(np.abs(memory) == shown).sum((2, 3)),
            known=(memory == -shown).any((2, 3)),
        )

    def _feedback(self, readers: np.ndarray, slate: np.ndarray, now: np.ndarray, reaction: Reaction) -> Feedback:
        row, kind, position = np.nonzero(reaction.happened)
        time = now[row] + (reaction.moment[row, kind, position] * SECOND).astype(np.int64)
        feedback = Feedback(
            reader=readers[row],
            user=self.user[readers[row]],
            decision=self.decision[readers[row]],
            kind=kind,
            position=position,
            article=np.where(kind == LEAVE, -1, slate[row, position]),
            dwell_seconds=np.where(kind == DWELL, reaction.dwell[row, position], np.float32(np.nan)),
            time=time,
            received=time,
        )
        late = lateness(self.config.arrival, self.config.seed, self.user[readers], self.decision[readers])  # [B]
        return feedback._replace(received=time + arrival_delay(self.config.seed, feedback, late[row]))

    def _remember(self, readers: np.ndarray, slate: np.ndarray, reaction: Reaction) -> None:
        seen = np.zeros((len(readers), 1, self._memory.shape[2]), np.int32)
        sign = np.where(reaction.clicked, -1, 1)
        seen[:, 0, : slate.shape[1]] = np.where(reaction.examined, sign * (slate + 1), 0)
        self._memory[readers] = np.concatenate([seen, self._memory[readers, :-1]], 1)

    def _clear_cookies(self, readers: np.ndarray) -> None:
        """Some of ``readers`` [B], who have just left, will come back as users that nobody knows."""
        clearers = readers[self.population.clearing[readers] > 0]
        u = draws.uniform(self.config.seed, "cookies", self.user[clearers], self.visit[clearers])
        cleared = clearers[u < self.population.clearing[clearers]]
        self._clearings[cleared] += 1
        self.user[cleared] = user_number(self.config.seed, self.number[cleared], self._clearings[cleared])
        self.decision[cleared] = self.visit[cleared] = 0

    def _next_visit(self, readers: np.ndarray, start: np.ndarray) -> np.ndarray:
        """[B] int64, microseconds."""
        level, since = self.level[readers], self.level_at[readers]
        return self.returns.next_visit(Absence(readers, self.user[readers], self.visit[readers], level, since, start))
