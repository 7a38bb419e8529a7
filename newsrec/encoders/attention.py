"""A reader as what they read, in any order: attention of the reads on each other, and one learnt question to them all.

Multi-head self-attention (Vaswani et al. 2017) and additive attention (Bahdanau et al. 2015) as NRMS joins them (Wu et
al. 2019, section 2.2).
"""

import torch
from torch import Tensor, nn


class ReadingAttention(nn.Module):
    """[B, W] from reads [B, H, W]. A reader of nothing is zero; padding never matters."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ask = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))
        self.dropout = nn.Dropout(dropout)
        for parameter in self.merge.parameters():  # a reader starts as the mean of what they read
            nn.init.zeros_(parameter)
        nn.init.zeros_(self.ask[2].weight)  # type: ignore[arg-type]

    def forward(self, reads: Tensor, mask: Tensor) -> Tensor:
        """``reads`` [B, H, W] and ``mask`` [B, H] as in ``State``."""
        batch, length, width = reads.shape
        reads = reads.masked_fill(~mask[..., None], 0.0)
        q, k, v = self.qkv(reads).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # [B, heads, H, ...]
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # [B, heads, H, H]
        logits = logits.masked_fill(~mask[:, None, None], torch.finfo(logits.dtype).min)
        attended = (logits.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        told = reads + self.dropout(self.merge(attended))  # [B, H, W]
        asked = self.ask(told).squeeze(-1).masked_fill(~mask, torch.finfo(told.dtype).min)  # [B, H]
        weight = asked.softmax(1) * mask  # [B, H]
        return (weight[:, None] @ told).squeeze(1)
