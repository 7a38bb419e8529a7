"""From the project's ``Decisions`` and a policy in question to what the estimators take.

The policy is two arguments: how it scores candidates, and the SlateConfig by which scores become slates. Its
propensities come from ``newsrec.slate``, as did the logged ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from newsrec import slate as slates
from newsrec.decisions import Decisions
from newsrec.evaluation.off_policy import checks
from newsrec.evaluation.off_policy.contextual import ContextualLog
from newsrec.evaluation.off_policy.return_time import VisitLog
from newsrec.evaluation.off_policy.slate import SlateLog, prefix_weights, slate_weight
from newsrec.events import KINDS
from newsrec.features import HOUR
from newsrec.slate import SlateConfig
from newsrec.transitions import Candidates, State

_DECISIONS_AT_ONCE = 512


class Acting(NamedTuple):
    """A policy as it acts."""

    scores: Callable[[State, Candidates], Tensor]
    """[B, C], minus infinity where there is no candidate: ``Policy.scores``."""
    slates: SlateConfig


class Marginals(NamedTuple):
    """How the probabilities of an article at its place, whatever stands above, are counted out."""

    behaviour: Acting
    """The policy that acted; its slates are drawn again."""
    generator: torch.Generator
    draws: int = 200
    """Slates of each policy a decision. Their noise biases the weights by about its relative variance."""


def slate_log(
    decisions: Decisions, rows: np.ndarray, target: Acting, kind: str = "click", marginals: Marginals | None = None
) -> SlateLog:
    """The slates of ``rows`` [n] as ``target`` would have shown them; the reward is whether ``kind`` happened.

    The marginals that independent IPS needs are there if ``marginals`` says how. Raises InvalidLog where a shown
    article has no propensity or a row stands twice.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    rows = np.asarray(rows, np.int64)
    checks.requests(rows)
    slot, shown = decisions.slate.padded(rows)  # [n, K]
    behaviour = np.where(shown, decisions.propensity[slot], 1.0).astype(np.float64)
    checks.logged_propensities(behaviour, shown)
    k = shown.shape[1]
    columns: list[list[np.ndarray]] = [[], [], []]
    for start in range(0, len(rows), _DECISIONS_AT_ONCE):
        batch = decisions.batch(rows[start : start + _DECISIONS_AT_ONCE])
        chosen, mask = batch.slate, batch.slate_mask
        with torch.no_grad():
            score = [target.scores(batch.state, batch.candidates)]
            found = [slates.propensities(score[0], chosen, mask, target.slates)]
            if marginals:
                score.append(marginals.behaviour.scores(batch.state, batch.candidates))
                for scores, config in zip(score, (target.slates, marginals.behaviour.slates), strict=True):
                    found.append(marginal_propensities(scores, chosen, mask, config, marginals))
        for column, values in zip(columns, found, strict=False):
            padding = np.ones((len(values), k - values.shape[1]))  # batches are as wide as their longest slate
            column.append(np.concatenate([values.numpy(), padding], axis=1))
    whole = [np.concatenate(column) if column else None for column in columns]
    happened = (decisions.feedback[slot, KINDS.index(kind)] > 0) & shown
    return SlateLog(
        reader=decisions.user[rows],
        reward=happened.astype(np.float64),
        behaviour=behaviour,
        target=np.concatenate(columns[0]),
        shown=shown,
        marginal_behaviour=whole[2],
        marginal_target=whole[1],
        request=rows,
    )


def marginal_propensities(scores: Tensor, chosen: Tensor, mask: Tensor, config: SlateConfig, how: Marginals) -> Tensor:
    """[B, K] float64: the probability of each article of ``chosen`` at its place, whatever stands above.

    The mean, over drawn slates, of its probability given what they hold above; exact at the top.
    """
    exact = slates.propensities(scores, chosen, mask, config)
    found = exact.clone()
    found[:, 1:] = 0.0
    for _ in range(how.draws):
        drawn = slates.draw(scores, chosen.shape[1], config, how.generator).chosen  # [B, K]
        for place in range(1, chosen.shape[1]):
            instead = torch.cat([drawn[:, :place], chosen[:, place : place + 1]], 1)
            given = slates.propensities(scores, instead, mask[:, : place + 1], config)[:, place]
            found[:, place] += given / how.draws
    return torch.where(mask, found, 1.0)


def as_one_action(log: SlateLog) -> ContextualLog:
    """Whole slates as the actions of a contextual policy; the reward is their total."""
    weight = slate_weight(log)  # checks the log
    behaviour = np.where(log.shown, log.behaviour, 1.0).prod(1)
    reward = np.where(log.shown, log.reward, 0.0).sum(1)
    return ContextualLog(log.reader, reward, behaviour, weight * behaviour, request=log.request)


def visits(decisions: Decisions, log: SlateLog) -> VisitLog:
    """The visits that ``log``, of ``slate_log``, holds, each with the weights of all its slates and what followed.

    A visit's earlier decisions may be missing (those before a split by time): the policy in question then acts from
    the first that is there. Raises InvalidLog where a visit's last decision is missing.
    """
    rows = np.asarray(checks.given("request", log.request, "the decisions of its visits"))
    order = np.lexsort([rows, decisions.time[rows], decisions.user[rows]])
    row, weight = rows[order], prefix_weights(log)[order, -1]
    after = np.append(row[1:], -1)
    again = (
        (decisions.user[row] == decisions.user[after]) & (decisions.time[row] == decisions.time[after]) & (after >= 0)
    )
    last = decisions.visit_end[row] & ~again  # two slates of one moment are one visit's end
    lacking = ~last & ~again & (decisions.next_row[row] != after)
    if lacking.any():
        raise checks.InvalidLog(
            f"{lacking.sum()} visits of {lacking.sum() + last.sum()} lack their last decisions; expected rows that "
            f"hold a visit's end, such as all those after a moment"
        )
    begins = np.append(0, np.flatnonzero(last)[:-1] + 1)
    end = row[last]
    following = decisions.next_row[end]
    until = np.where(following >= 0, decisions.time[following], decisions.time[-1])
    return VisitLog(
        reader=np.unique(decisions.user[end], return_inverse=True)[1],
        weight=np.multiply.reduceat(weight, begins),
        hours=(until - decisions.time[end]) / HOUR,
        ended=following >= 0,
        returned=decisions.returned[end].astype(np.float64),
        expected=decisions.expected[end].astype(np.float64),
    )
