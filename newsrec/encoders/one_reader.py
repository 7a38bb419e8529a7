"""The history tower of one reader, for whoever computes one vector at a time: the same function in a fraction of time.

``HistoryScorer.reader`` is written for training: many readers, every place of their histories, gradients. For one
vector most of its time goes into calling small operations. Here the weights are brought into another form once, so that
few operations are left, and they are numpy's:

1. The last block asks only from the last place, behind which nothing stands. The others need all places.
2. Scale and shift of a normalisation, which a linear layer always follows, are part of that layer.
3. Whatever is read of the stream of blocks is normalised, so its mean never matters: all that is added to it has a mean
   of zero beforehand, and a normalisation is a division by the root of the mean square.
4. A key's bias adds the same to all logits of a query and is left out; a value's bias adds the same to all outputs and
   is part of the bias behind.
5. The biases by distance stand in a table, with minus infinity at what is read later.

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
    """Of ``policy``, whose weights are copied. L places are the start token and the reads."""

    def __init__(self, policy: HistoryScorer) -> None:
        self._latest, self._alpha = policy.latest_reads, policy.alpha
        self._content = _array(policy.article.content.weight.T)  # [E, W]
        self._identity = _array(policy.article.identity.weight)  # [N + 1, W]
        self._dwell = _centred(_array(policy.dwell.weight.T))  # [1, W]
        self._start = _centred(_array(policy.history.start))  # [W]
        self._mean = np.full(len(self._start), 1.0 / len(self._start), np.float32)  # [W]
        self._epsilon = np.float32(policy.history.norm.eps)
        *self._blocks, self._last = [_block(block) for block in policy.history.blocks]
        self._output, self._output_bias = _after(policy.history.norm, policy.output)

    def vector(self, index: np.ndarray, content: np.ndarray, age_hours: np.ndarray, dwell: np.ndarray) -> np.ndarray:
        """[W] float32 from ``index`` [H] int64, ``content`` [H, E], ``age_hours`` [H] and ``dwell`` [H] of the reads.

        As a row of ``State`` without padding: the oldest comes first, and dwell is in seconds.
        """
        if len(index) > self._latest:
            index, content, age_hours, dwell = (part[-self._latest :] for part in (index, content, age_hours, dwell))
        reads = content @ self._content
        reads += self._identity[index]  # [H, W]
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
        """[..., W]: ``x``, whose means are zero, by its standard deviation."""
        return x / np.sqrt(np.square(x) @ self._mean + self._epsilon)[:, None]

    def _through(self, block: "_Block", x: np.ndarray, y: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """[Q, W]: the block's outputs at the last Q places, of which ``x`` [Q, W] is the stream.

        ``y`` [L, W] is the normalised stream of all places, ``hours`` [Q, L] stand between query and key.
        """
        asked, places = len(x), len(y)
        q = y[places - asked :] @ block.query
        q += block.query_bias
        heads = len(block.between)
        q = q.reshape(asked, heads, -1).transpose(1, 0, 2)  # [heads, Q, W / heads]
        k, v = (y @ block.key_value).reshape(places, 2, heads, -1).transpose(1, 2, 0, 3)  # [heads, L, W / heads] each
        logits = hours * block.hours_between  # [heads, Q, L]
        logits += block.between[:, places - asked : places, :places]
        logits += q @ k.transpose(0, 2, 1)
        weights = torch.from_numpy(logits).softmax(-1).numpy()
        attended = np.empty((asked, heads, v.shape[2]), np.float32)
        np.matmul(weights, v, out=attended.transpose(1, 0, 2))
        x = attended.reshape(x.shape) @ block.merge + x
        x += block.merge_bias
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

    query: np.ndarray
    """[W, W], and its bias [W]: with the scale of logits."""
    query_bias: np.ndarray
    key_value: np.ndarray
    """[W, 2 W]"""
    between: np.ndarray
    """[heads, longest L, longest L], by query and key: the bias of so many reads between them, minus infinity later."""
    hours_between: np.ndarray
    """[heads, 1, 1]"""
    merge: np.ndarray
    """[W, W], and its bias [W]."""
    merge_bias: np.ndarray
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
    scale = np.float32((width // heads) ** -0.5)
    merge, narrow = _array(block.merge.weight.T), _array(block.forward_layers[2].weight.T)
    wide, wide_bias = _after(block.forward_norm, block.forward_layers[0])
    root = np.float32(0.5**0.5)
    place = np.arange(block.reads_between.shape[1])
    between = place[:, None] - place
    table = np.where(between < 0, -np.inf, _array(block.reads_between)[:, np.maximum(between, 0)])
    return _Block(
        query=np.ascontiguousarray(qkv[:, :width]) * scale,
        query_bias=bias[:width] * scale,
        key_value=np.ascontiguousarray(qkv[:, width:]),
        between=table.astype(np.float32),
        hours_between=_array(block.hours_between)[:, None, None],
        merge=_centred(merge),
        merge_bias=_centred(bias[2 * width :] @ merge + _array(block.merge.bias)),
        wide=wide * root,
        wide_bias=wide_bias * root,
        narrow=_centred(narrow) * root,
        narrow_bias=_centred(_array(block.forward_layers[2].bias)),
    )


def _after(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    """Weights [in, out] and bias [out] of ``layer`` behind ``norm``, for what is normalised without scale and shift."""
    weights = _array(layer.weight.T)
    return _array(norm.weight)[:, None] * weights, _array(norm.bias) @ weights + _array(layer.bias)


def _centred(weights: np.ndarray) -> np.ndarray:
    """``weights`` [..., W] whose outputs have a mean of zero."""
    return weights - weights.mean(-1, keepdims=True)


def _array(tensor: Tensor) -> np.ndarray:
    """A copy of ``tensor``."""
    return np.array(tensor.detach().numpy(), np.float32, order="C")
