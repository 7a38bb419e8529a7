"""A reader's history to vectors: a pooled sum for factor models, a causal transformer for sequence models.

The transformer reads from oldest to newest behind a start token, so its output after zero reads is what it knows of a
new reader and no history is ever empty. Attention sees how many reads and how many hours lie between two reads, never
how far they lie from the end: an output depends on nothing that was read later, and padding behind the reads, which
causal attention cannot reach, needs no mask. Relative position and time biases follow Shaw et al. 2018 and the
``rab^{p,t}`` of Zhai et al. 2024 (HSTU), with softmax attention and pre-norm blocks (Xiong et al. 2020).
"""

import torch
from torch import Tensor, nn

from newsrec.features import HISTORY_LENGTH
from newsrec.transitions import State

ROWS_TOGETHER = 32
"""Histories of about the same length that go through the transformer at once: short ones do not pay for long ones."""


def pool(vectors: Tensor, alpha: float) -> Tensor:
    """[B, H + 1, W]: the sum of the first n of ``vectors`` [B, H, W] times ``n ** -alpha``, for n from 0 to H."""
    reads = torch.arange(1, vectors.shape[1] + 1)
    sums = vectors.cumsum(1) * reads.pow(-alpha)[:, None]  # [B, H, W]
    return torch.cat([torch.zeros_like(vectors[:, :1]), sums], 1)


def after_last_read(outputs: Tensor, mask: Tensor) -> Tensor:
    """[B, W]: of ``outputs`` [B, H + 1, W] the one that knows all the reads that ``mask`` [B, H] holds."""
    return outputs[torch.arange(len(outputs)), mask.sum(1)]


def latest_places(mask: Tensor, reads: int) -> Tensor:
    """[B, min(H, reads)]: where the latest reads of each history stand in ``mask`` [B, H], oldest first.

    A shorter history fills up with places behind its last read.
    """
    skipped = (mask.sum(1, keepdim=True) - reads).clamp(min=0)  # [B, 1]
    return skipped + torch.arange(min(mask.shape[1], reads))


def latest(state: State, reads: int) -> State:
    """``state`` with the latest ``reads`` of each history alone. The context, which counts all of them, stays."""
    if state.history_mask.shape[1] <= reads:
        return state
    places = latest_places(state.history_mask, reads)  # [B, reads]
    rows = torch.arange(len(places))[:, None]  # [B, 1]
    return State._make([*(column[rows, places] for column in state[:-1]), state.context])


class CausalTransformer(nn.Module):
    """``layers`` pre-norm blocks of ``heads`` heads over at most HISTORY_LENGTH reads."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(width) * width**-0.5)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, reads: Tensor, age_hours: Tensor, mask: Tensor) -> Tensor:
        """[B, H + 1, W]: output n knows the first n of ``reads`` [B, H, W]; zeros behind the last.

        ``age_hours`` and ``mask`` [B, H] as in ``State``.
        """
        length = mask.sum(1)
        order = length.argsort()
        parts = []
        for rows in order.split(ROWS_TOGETHER):
            longest = int(length[rows[-1]])
            outputs = self._read(reads[rows, :longest], age_hours[rows, :longest])
            parts.append(nn.functional.pad(outputs, (0, 0, 0, reads.shape[1] - longest)))
        return torch.cat(parts)[order.argsort()]

    def attention(self, reads: Tensor, age_hours: Tensor) -> list[Tensor]:
        """By block [B, heads, H + 1, H + 1], query by key: how much of each earlier place a place takes in.

        Place 0 is the start token, place n the n-th of ``reads`` [B, H, W]. What stands behind a reader's last read is
        padding, which no read sees.
        """
        x, hours = self._places(reads, age_hours)
        found = []
        for block in self.blocks:
            assert isinstance(block, _Block)
            found.append(block.attention(x, hours))
            x = block(x, hours)
        return found

    def _read(self, reads: Tensor, age_hours: Tensor) -> Tensor:
        """[B, H + 1, W] of histories that are about as long as the longest of them."""
        x, hours = self._places(reads, age_hours)
        for block in self.blocks:
            x = block(x, hours)
        return self.norm(x)

    def _places(self, reads: Tensor, age_hours: Tensor) -> tuple[Tensor, Tensor]:
        """Start token and reads [B, H + 1, W], and log hours between query and key [B, 1, H + 1, H + 1]."""
        x = torch.cat([self.start.expand(len(reads), 1, -1), reads], 1)  # [B, H + 1, W]
        age = torch.cat([age_hours[:, :1] if reads.shape[1] else torch.zeros(len(reads), 1), age_hours], 1)
        hours = torch.log1p((age[:, None, :] - age[:, :, None]).clamp(min=0.0))  # [B, query, key]
        return x, hours[:, None]


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.reads_between = nn.Parameter(torch.zeros(heads, HISTORY_LENGTH + 1))
        self.hours_between = nn.Parameter(torch.zeros(heads))
        self.forward_layers = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hours: Tensor) -> Tensor:
        """[B, L, W] from ``x`` [B, L, W] and ``hours`` [B, 1, L, L], log hours between query and key."""
        weights, values = self._attend(self.attention_norm(x), hours)
        attended = (weights @ values).transpose(1, 2).reshape(x.shape)  # [B, L, W]
        x = x + self.dropout(self.merge(attended))
        return x + self.dropout(self.forward_layers(self.forward_norm(x)))

    def attention(self, x: Tensor, hours: Tensor) -> Tensor:
        """[B, heads, L, L], query by key; each row sums to 1."""
        return self._attend(self.attention_norm(x), hours)[0]

    def _attend(self, x: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [B, heads, L, L] and what they weigh [B, heads, L, W / heads]."""
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # [B, heads, L, W/heads]
        position = torch.arange(length)
        between = position[:, None] - position  # [L, L], reads between query and key
        bias = self.reads_between[:, between.clamp(min=0)] + self.hours_between[:, None, None] * hours
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias  # [B, heads, L, L]
        return logits.masked_fill(between < 0, -torch.inf).softmax(-1), v
