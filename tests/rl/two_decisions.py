"""A batch of two, and a policy without opinions, for the losses of value learners that are worked out by hand."""

from typing import TypeVar

import torch

from newsrec.encoders.scorer import NetworkConfig
from newsrec.encoders.slate_value import SlateValueScorer
from newsrec.events import KINDS
from newsrec.features import EMBEDDING_DIM
from newsrec.transitions import Transitions
from tests.baselines.batches import batch, credited

SMALL = NetworkConfig(width=8, layers=1, heads=1, dropout=0.0)
PLAIN: dict[str, float] = {"click_weight": 1.0, "return_weight": 2.0, "continuation": 1.0}
"""Weights and discounts as they stand in the hand calculations."""
P = TypeVar("P", bound=SlateValueScorer)


def flattened(policy: P) -> P:
    """Clicks at even odds, every read worth a click; the content of article i is the i-th number of its vector."""
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        policy.article.content.weight[torch.arange(8), torch.arange(8)] = 1.0
    return policy


def two_decisions() -> Transitions:
    """The first reader clicks both articles and comes back; the second sees one, clicks nothing and stays away.

    No candidate is like what they read. The next state is like this one, but for the discount.
    """
    made = batch([[4], [3]], [[1, 2, 3], [1, 2, 4]], [0, 0], torch.eye(5, EMBEDDING_DIM))
    feedback = torch.zeros(2, 2, len(KINDS))
    feedback[0, :, KINDS.index("click")] = 1.0
    made = made._replace(
        slate=torch.tensor([[1, 2], [0, 0]]),
        slate_mask=torch.tensor([[True, True], [True, False]]),
        feedback=feedback,
        reward=torch.tensor([2.0, 0.0]),
        discount=torch.tensor([0.5, 0.75]),
        returned=torch.tensor([1.0, 0.0]),
        expected=torch.tensor([0.25, 0.5]),
        next_state=made.state,
        next_candidates=made.candidates,
    )
    return credited(made)
