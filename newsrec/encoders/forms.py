"""What a policy needs to know of one article, as linear forms: how a whole catalogue is scored in one product.

Given a reader and a request, every score here is a function of few numbers that are linear in what is known of an
article beforehand: its vector v and its demand d (``newsrec.encoders.article``), and how often the reader saw it::

    form_f(a) = article_f . v_a + demand_f . d(a) + shown_f n_ua + level_f

One form is enough where the score is linear itself; the value of a read times its probability has two. Vectors and
demand are kept for all articles, and a request costs a matrix product instead of a pass of the network over each.
"""

from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.transitions import CONTEXT_DIM, State


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


class RequestForms(NamedTuple):
    """F forms of one request, as arrays."""

    article: np.ndarray
    """[F, W] float32."""
    demand: np.ndarray
    """[F, D] float32."""
    shown: np.ndarray
    """[F] float32."""
    level: np.ndarray
    """[F] float32."""

    @classmethod
    def of(cls, policy: Formed, reader: np.ndarray, context: np.ndarray) -> Self:
        """What ``policy`` asks for ``reader`` [W] and ``context`` [X]."""
        with torch.inference_mode():
            forms = policy.forms(torch.from_numpy(reader)[None], torch.from_numpy(context)[None])
        article, demand, shown, level = (form[0].detach().numpy() for form in forms)
        return cls(article.T, demand.T, shown, level)


class Hidden(nn.Linear):
    """A hidden layer of a head, with GELU behind it."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., H] from ``x`` [..., W + X], reader and context side by side."""
        return nn.functional.gelu(super().forward(x))


class FormTable:
    """The forms of a policy for one request after another, by a matrix instead of its network.

    The forms of most policies are affine in the reader, the context and the numbers of ``Hidden`` layers that stand on
    both. The matrix is found by least squares from what the policy answers at random, here, once, and is held against
    further answers. A policy that it does not fit is asked each time, and so is one with vectors beyond WIDEST.
    """

    PROBES, TOLERANCE, WIDEST = 64, 1e-4, 512

    def __init__(self, policy: Formed, width: int) -> None:
        """``width`` is W of ``policy``."""
        self.policy = policy
        nothing = RequestForms.of(policy, np.zeros(width, np.float32), np.zeros(CONTEXT_DIM, np.float32))
        self._article, self._demand = nothing.article.shape, nothing.demand.shape  # [F, W] and [F, D]
        self.is_score = len(nothing.level) == 1 and self._keeps_values()
        """Whether there is one form, which is the score itself."""
        self.fits = width <= self.WIDEST and self._fitted(width + CONTEXT_DIM)

    def __call__(self, reader: np.ndarray, context: np.ndarray) -> RequestForms:
        """Those for ``reader`` [W] and ``context`` [X]."""
        if not self.fits:
            return RequestForms.of(self.policy, reader, context)
        flat = self._slope @ self._told(np.concatenate([reader, context])) + self._level
        forms, width = self._article
        article, rest = flat[: forms * width].reshape(self._article), flat[forms * width :]
        demand = rest[: -2 * forms].reshape(self._demand)
        return RequestForms(article, demand, rest[-2 * forms : -forms], rest[-forms:])

    def _fitted(self, size: int) -> bool:
        """Find the matrix for ``size`` = W + X numbers, and say whether it is right."""
        layers: list[Hidden] = [
            layer
            for layer in (self.policy.modules() if isinstance(self.policy, nn.Module) else ())
            if isinstance(layer, Hidden) and layer.in_features == size
        ]
        self._weight = np.concatenate([np.zeros((0, size), np.float32), *(_array(layer.weight) for layer in layers)])
        self._bias = np.concatenate([np.zeros(0, np.float32), *(_array(layer.bias) for layer in layers)])
        generator = torch.Generator().manual_seed(0)
        asked = torch.randn(2 * (size + len(self._bias)) + self.PROBES, size, generator=generator)
        flat, told = self._flat(asked), self._told(asked.numpy())
        first, behind = slice(None, -self.PROBES), slice(-self.PROBES, None)
        with_one = np.concatenate([told[first], np.ones((len(told[first]), 1))], 1, dtype=np.float64)
        found = np.linalg.lstsq(with_one, flat[first].astype(np.float64))[0].astype(np.float32)
        used = np.abs(found[size:-1]).max(1, initial=0.0) > self.TOLERANCE / 10  # [H], heads that forms do not have
        self._weight, self._bias = self._weight[used], self._bias[used]
        kept = np.concatenate([np.ones(size, np.bool_), used])
        self._slope, self._level = np.ascontiguousarray(found[:-1][kept].T), found[-1]
        again = self._told(asked[behind].numpy()) @ self._slope.T + self._level
        return np.allclose(again, flat[behind], rtol=self.TOLERANCE, atol=self.TOLERANCE)

    def _told(self, x: np.ndarray) -> np.ndarray:
        """[..., W + X + H]: ``x`` [..., W + X] and what hidden layers make of it."""
        if not len(self._bias):
            return x
        hidden = x @ self._weight.T + self._bias
        return np.concatenate([x, nn.functional.gelu(torch.from_numpy(hidden)).numpy()], -1)

    def _flat(self, asked: Tensor) -> np.ndarray:
        """[B, F (W + D + 2)]: the forms of B readers with their contexts, ``asked`` [B, W + X], one after the other."""
        with torch.inference_mode():
            forms = self.policy.forms(asked[:, :-CONTEXT_DIM], asked[:, -CONTEXT_DIM:])
        return torch.cat([form.detach().transpose(1, -1).flatten(1) for form in forms], 1).numpy()

    def _keeps_values(self) -> bool:
        values = torch.randn(self.PROBES, 1, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            return not hasattr(self.policy, "reranked") and torch.equal(self.policy.combined(values), values[:, 0])


def _array(parameter: Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def one(article: Tensor, demand: Tensor, shown: Tensor, level: Tensor | None = None) -> Forms:
    """One form, from ``article`` [B, W], ``demand`` [B, D] or [D], ``shown`` [] and ``level`` [B]."""
    batch = len(article)
    level = article.new_zeros(batch) if level is None else level
    columns = (article, demand.expand(batch, -1), shown.expand(batch), level)
    return Forms(*(column[..., None] for column in columns))


def stacked(*forms: Forms) -> Forms:
    """All of ``forms``, one after the other."""
    return Forms(*(torch.cat(columns, -1) for columns in zip(*forms, strict=True)))
