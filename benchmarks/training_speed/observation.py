"""A decision as a flat observation, which d3rlpy stores, and back as what the network reads."""

from collections.abc import Sequence

import torch
from torch import Tensor

from newsrec.transitions import Candidates, State

OBSERVED = ("history_content", "history", "reader", "content", "candidates")


def observed(state: State, candidates: Candidates) -> dict[str, Tensor]:
    """[N, ...] float32 each, by OBSERVED: all that the network reads."""
    history = (state.history_index, state.history_age_hours, state.history_dwell_seconds)
    offered = (candidates.mask, candidates.article_index, candidates.age_hours, candidates.shown)
    columns = (
        state.history_content,
        torch.stack([column.float() for column in history], -1),
        torch.cat([state.history_mask.sum(1, keepdim=True), state.context], 1),
        candidates.content,
        torch.cat([torch.stack([column.float() for column in offered], -1), candidates.popularity], -1),
    )
    return dict(zip(OBSERVED, columns, strict=True))


def restored(observation: Sequence[Tensor]) -> tuple[State, Candidates]:
    """What ``observed`` was given, from its columns in order."""
    history_content, history, reader, content, offered = observation
    index, age, dwell = history.unbind(-1)  # [N, H] each
    mask = torch.arange(history.shape[1]) < reader[:, :1]  # [N, H]
    real, article, age_hours, shown = offered[..., :4].unbind(-1)  # [N, C] each
    return (
        State(index.long(), history_content, age, dwell, mask, reader[:, 1:]),
        Candidates(article.long(), content, age_hours, offered[..., 4:], shown, real > 0.0),
    )
