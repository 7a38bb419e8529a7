"""One transition batch from plain lists, for steps that are worked out by hand."""

from collections.abc import Sequence

import torch

from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import CONTEXT_DIM, POPULARITY_DIM, Candidates, State, Transitions


def batch(
    histories: Sequence[Sequence[int]], slates: Sequence[Sequence[int]], clicks: Sequence[int], content: torch.Tensor
) -> Transitions:
    """Readers with ``histories`` of articles, shown ``slates`` (all of one length), who click one position each.

    ``content`` [N + 1, E] by article; no popularity, no age, no context; reads an hour apart.
    """
    longest = max(1, *(len(history) for history in histories))
    index = torch.tensor([[*history, *[0] * (longest - len(history))] for history in histories])
    mask = torch.arange(longest) < torch.tensor([[len(history)] for history in histories])
    age = torch.tensor([[float(len(history) - 1 - i) for i in range(longest)] for history in histories]) * mask
    rows, offered = len(slates), torch.tensor(slates)
    state = State(index, content[index], age, torch.zeros(index.shape), mask, torch.zeros(rows, CONTEXT_DIM))
    shape = offered.shape
    candidates = Candidates(
        offered,
        content[offered],
        torch.zeros(shape),
        torch.zeros(*shape, POPULARITY_DIM),
        torch.zeros(shape),
        torch.ones(shape).bool(),
    )
    feedback = torch.zeros(*shape, len(KINDS))
    feedback[torch.arange(rows), torch.tensor(clicks), KINDS.index("click")] = 1.0
    nothing = torch.zeros(rows)
    slate = torch.arange(shape[1]).expand(shape)
    return Transitions(
        state,
        candidates,
        slate,
        candidates.mask,
        feedback,
        nothing,
        nothing,
        censored=nothing.bool(),
        visit_end=~nothing.bool(),
        returned=nothing,
        expected=nothing,
        log_propensity=torch.zeros(shape),
        return_to_go=nothing,
        retention=nothing,
    )


def credited(made: Transitions) -> Transitions:
    """The last decisions of visits credited with what followed them beyond habit."""
    return made._replace(retention=(made.returned - made.expected) * made.visit_end)


def no_content(articles: int) -> torch.Tensor:
    return torch.zeros(articles + 1, EMBEDDING_DIM)
