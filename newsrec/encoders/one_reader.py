"""The history tower of one reader, for whoever computes one vector at a time: the same function in a fraction of time.

``HistoryScorer.reader`` is written for training: many readers, every place of their histories, gradients. For one
vector most of its time goes into calling small operations. Here the weights are brought into another form once, so that
few operations are left, and they are numpy's:

1. The last block asks only from the last place, behind which nothing stands. The others need all places.
2. Scale and shift of a normalisation, which a linear layer always follows, are part of that layer, and so is the root
   of the width: what is left is a division by the length of a vector.
3. Whatever is read of the stream of blocks is normalised, so its mean never matters: all that is added to it has a mean
   of zero beforehand.
4. A head h weighs y_i W_q W_k' y_j and passes on sum_j weight_ij y_j W_v W_m: both products of weights are made once,
   and queries, keys and values are never computed. With few heads this is no more work, in half as many steps.
5. A key's bias adds the same to all logits of a query and is left out; a value's bias adds the same to all outputs and
   is part of the bias behind.
6. The biases by distance stand in a table, with minus infinity at what is read later.

The result is that of the network to the rounding of float32: both are as far from the same sums in float64, 5e-7 of the
vector's largest number in the middle of 300 histories and 2e-6 at most. ``tests/encoders/test_one_reader.py`` holds one
against the other.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.encoders.history import CausalTransformer
from newsrec.encoders.scorer import HistoryScorer

_MADE_OF = ("reader", "known", "read", "outputs", "noticed")
"""What ``OneReader`` computes in one; a policy that does any of it in its own way has no such form."""


def one_reader(policy: Any) -> "OneReader | None":
    """``policy.reader`` for one reader with the weights as they are now; None where that is no ``HistoryScorer``'s."""
    if not isinstance(policy, HistoryScorer) or type(policy.history) is not CausalTransformer:
        return None
    if any(getattr(type(policy), name) is not getattr(HistoryScorer, name) for name in _MADE_OF):
        return None
    return OneReader(policy)


class OneReader:
    """Of ``policy``. Its weights are copied, but for the identities, which are many.

    L places are the start token and the reads.
    """

    def __init__(self, policy: HistoryScorer) -> None:
        self._latest, self._alpha = policy.latest_reads, policy.alpha
        width = len(policy.history.start)
        self._epsilon = np.float32(policy.history.norm.eps * width)
        self._identity = policy.article.identity.weight.detach().numpy()  # [N + 1, W]
        self._content, self._dwell, self._start, self._mean, self._output, self._output_bias = _rounded(
            _array(policy.article.content.weight.T),  # [E, W]
            _centred(_array(policy.dwell.weight.T)),  # [1, W]
            _centred(_array(policy.history.start)),  # [W]
            np.full(width, 1.0 / width),  # [W]
            *_after(policy.history.norm, policy.output),  # [W, W], [W]
        )
        *self._blocks, self._last = [_block(block) for block in policy.history.blocks]

    def vector(self, index: np.ndarray, content: np.ndarray, age_hours: np.ndarray, dwell: np.ndarray) -> np.ndarray:
        """[W] float32 from ``index`` [H] int64, ``content`` [H, E], ``age_hours`` [H] and ``dwell`` [H] of the reads.

        As a row of ``State`` without padding: the oldest comes first, and dwell is in seconds.
        """
        if len(index) > self._latest:
            index, content, age_hours, dwell = (part[-self._latest :] for part in (index, content, age_hours, dwell))
        reads = content @ self._content
        reads += self._identity.take(index, 0)  # [H, W]
        x, hours = self._places(reads, age_hours, dwell)  # [L, W], [L, L]
        for block in self._blocks:
            x = self._through(block, x, self._normalised(x), hours)
        y = self._normalised(x)
        x = self._through(self._last, x[-1:], y, hours[-1:])  # [1, W]
        vector = (self._normalised(x) @ self._output)[0]
        vector += self._output_bias
        if len(reads):
            vector += reads.sum(0) * np.float32(len(reads) ** -self._alpha)
        return vector

    def nobody(self) -> np.ndarray:
        """[W] float32: ``vector`` of no read at all."""
        nothing = np.zeros(0, np.float32)
        return self.vector(nothing.astype(np.int64), np.zeros((0, len(self._content)), np.float32), nothing, nothing)

    def _places(self, reads: np.ndarray, age_hours: np.ndarray, dwell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[L, W] of mean zero, and log hours between query and key [L, L]."""
        x = np.empty((len(reads) + 1, reads.shape[1]), np.float32)
        x[0] = self._start
        np.multiply(np.log1p(dwell)[:, None], self._dwell, out=x[1:])
        x[1:] += reads
        x[1:] -= (reads @ self._mean)[:, None]
        age = np.zeros(len(x), np.float32)
        age[1:] = age_hours
        age[0] = age[min(1, len(reads))]  # the start token is as old as the oldest read
        hours = age - age[:, None]
        np.maximum(hours, 0.0, out=hours)
        return x, np.log1p(hours, out=hours)

    def _normalised(self, x: np.ndarray) -> np.ndarray:
        """[..., W]: ``x``, whose means are zero, normalised and divided by the root of W."""
        length = np.vecdot(x, x)
        length += self._epsilon
        return x / np.sqrt(length, out=length)[:, None]

    def _through(self, block: "_Block", x: np.ndarray, y: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """[Q, W]: the block's outputs at the last Q places, of which ``x`` [Q, W] is the stream.

        ``y`` [L, W] is the normalised stream of all places, ``hours`` [Q, L] stand between query and key.
        """
        (asked, width), places = x.shape, len(y)
        questions = y[places - asked :] @ block.question
        questions += block.question_bias  # [Q, heads W]
        logits = (questions.reshape(-1, width) @ y.T).reshape(asked, -1, places)  # [Q, heads, L]
        logits += block.between[places - asked : places, :, :places]
        logits += hours[:, None] * block.hours_between
        weights = torch.from_numpy(logits).softmax(-1).numpy()
        attended = weights.reshape(-1, places) @ y  # [Q heads, W]
        x = attended.reshape(asked, -1) @ block.answer + x
        x += block.answer_bias
        hidden = self._normalised(x) @ block.wide
        hidden += block.wide_bias
        gate = torch.from_numpy(hidden).erf().numpy()  # numpy has none
        gate += 1.0
        gate *= hidden
        x += gate @ block.narrow
        x += block.narrow_bias
        return x


class _Block(NamedTuple):
    """A block's weights, to be multiplied from the right. What is added to the stream has a mean of zero."""

    question: np.ndarray
    """[W, heads W], and its bias [heads W]: what each head asks of a place."""
    question_bias: np.ndarray
    between: np.ndarray
    """[longest L, heads, longest L], by query and key: the bias of so many reads between them, minus infinity later."""
    hours_between: np.ndarray
    """[heads, 1]"""
    answer: np.ndarray
    """[heads W, W], and its bias [W]."""
    answer_bias: np.ndarray
    wide: np.ndarray
    """[W, 2 W], and its bias [2 W]: gives z, where GELU is asked for the square root of 2 times z."""
    wide_bias: np.ndarray
    narrow: np.ndarray
    """[2 W, W], and its bias [W]: takes z (1 + erf z)."""
    narrow_bias: np.ndarray


def _block(block: Any) -> _Block:
    """The form of a block of ``CausalTransformer``."""
    qkv, bias = _after(block.attention_norm, block.qkv)
    width, heads = len(qkv), block.heads
    query, key, value = np.split(qkv.reshape(width, 3 * heads, -1).transpose(1, 0, 2), 3)  # [heads, W, W / heads] each
    query_bias, _, value_bias = np.split(bias.reshape(3 * heads, 1, -1), 3)  # [heads, 1, W / heads] each
    asked, merge = key.transpose(0, 2, 1) * (width // heads) ** -0.5, _array(block.merge.weight.T)
    wide, wide_bias = _after(block.forward_norm, block.forward_layers[0])
    half = 0.5**0.5
    place = np.arange(block.reads_between.shape[1])
    between = place[:, None] - place
    table = np.where(between < 0, -np.inf, _array(block.reads_between)[:, np.maximum(between, 0)])  # [heads, L, L]
    answer = value @ merge.reshape(heads, -1, width)  # [heads, W, W]
    return _Block(
        *_rounded(
            (query @ asked).transpose(1, 0, 2).reshape(width, -1),
            (query_bias @ asked).reshape(-1),
            table.transpose(1, 0, 2),
            _array(block.hours_between)[:, None],
            _centred(answer.reshape(-1, width)),
            _centred(value_bias.reshape(-1) @ merge + _array(block.merge.bias)),
            wide * half,
            wide_bias * half,
            _centred(_array(block.forward_layers[2].weight.T)) * half,
            _centred(_array(block.forward_layers[2].bias)),
        )
    )


def _after(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weights [in, out] and bias [out] of ``layer`` behind ``norm``, for what ``_normalised`` gives."""
    weights = _array(layer.weight.T)
    scaled = _array(norm.weight)[:, None] * len(weights) ** 0.5 * weights
    return scaled, _array(norm.bias) @ weights + _array(layer.bias)


def _centred(weights: np.ndarray) -> np.ndarray:
    """``weights`` [..., W] whose outputs have a mean of zero."""
    return weights - weights.mean(-1, keepdims=True)


def _array(tensor: Tensor) -> np.ndarray:
    """``tensor`` in float64, so that what is made of weights is rounded once."""
    return tensor.detach().double().numpy()


def _rounded(*arrays: np.ndarray) -> list[np.ndarray]:
    """Copies in float32."""
    return [np.array(array, np.float32, order="C") for array in arrays]
