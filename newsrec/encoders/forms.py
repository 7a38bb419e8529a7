"""What a policy needs to know of one article, as linear forms: how a whole catalogue is scored in one product.

Given a reader and a request, every score here is a function of few numbers that are linear in what is known of an
article beforehand: its vector v and its demand d (``newsrec.encoders.article``), and how often the reader saw it::

    form_f(a) = article_f . v_a + demand_f . d(a) + shown_f n_ua + level_f

One form is enough where the score is linear itself; the value of a read times its probability has two. Vectors and
demand are kept for all articles, and a request costs a matrix product instead of a pass of the network over each.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from newsrec.transitions import State


class Forms(NamedTuple):
    """F forms of B requests. W numbers are in an article's vector, D = len(DEMAND_FEATURES) in its demand."""

    article: Tensor
    """[B, W, F] float32."""
    demand: Tensor
    """[B, D, F] float32."""
    shown: Tensor
    """[B, F] float32, for each of up to MOST_SHOWN times that the reader was shown the article."""
    level: Tensor
    """[B, F] float32."""

    def __add__(self, other: "Forms") -> "Forms":  # type: ignore[override]
        """The forms of a sum of two scores."""
        return Forms(*(own + more for own, more in zip(self, other, strict=True)))


class Formed(Protocol):
    """A policy whose scores, up to a re-ranking of the best, are ``combined`` from ``forms``."""

    def reader(self, state: State) -> Tensor:
        """[B, W]: what is known of a reader, whatever the time of the request."""
        ...

    def forms(self, reader: Tensor, context: Tensor) -> Forms:
        """Of ``reader`` [B, W] and ``context`` [B, X]."""
        ...

    def combined(self, values: Tensor) -> Tensor:
        """[...]: the score of an article whose forms have ``values`` [..., F]."""
        ...


def one(article: Tensor, demand: Tensor, shown: Tensor, level: Tensor | None = None) -> Forms:
    """One form, from ``article`` [B, W], ``demand`` [B, D] or [D], ``shown`` [] and ``level`` [B]."""
    batch = len(article)
    level = article.new_zeros(batch) if level is None else level
    columns = (article, demand.expand(batch, -1), shown.expand(batch), level)
    return Forms(*(column[..., None] for column in columns))


def stacked(*forms: Forms) -> Forms:
    """All of ``forms``, one after the other."""
    return Forms(*(torch.cat(columns, -1) for columns in zip(*forms, strict=True)))
