"""The arithmetic of the learners: pure functions of tensors, each with its formula and source."""

import torch
from torch import Tensor


def slate_cross_entropy(scores: Tensor, clicked: Tensor) -> Tensor:
    """Mean over clicks of ``-log softmax(scores of the slate)[click]``: the conditional logit (McFadden 1974).

    ``scores`` [B, K] are minus infinity where nothing was shown, ``clicked`` [B, K] bool. A slate without a click says
    nothing about which article was better and adds nothing; a batch without any gives 0.
    """
    rows = clicked.any(1)
    log_share = scores[rows].log_softmax(1)  # [clicked slates, K]
    return -log_share[clicked[rows]].sum() / clicked.sum().clamp(min=1)


def shared_negatives_cross_entropy(queries: Tensor, targets: Tensor, keys: Tensor, negatives: Tensor) -> Tensor:
    """Mean over P queries of ``-log softmax`` of the own target against N negatives that all queries share.

    ``queries`` and ``targets`` [P, W] are row by row a position and the article read there, ``keys`` [P] names the
    article of each target, ``negatives`` [N] are the rows of ``targets`` that serve as negatives. A negative that is
    the query's own target is left out. 0 without queries.

    Negatives drawn from the targets stand there as often as they are read, and there is no ``log q`` correction (Yi et
    al. 2019) on purpose: the optimum is then the pointwise mutual information of position and article, taste without
    popularity (Levy & Goldberg 2014).
    """
    own = (queries * targets).sum(1, keepdim=True)  # [P, 1]
    others = queries @ targets[negatives].T  # [P, N]
    others = others.masked_fill(keys[:, None] == keys[negatives], -torch.inf)
    return (torch.cat([own, others], 1).logsumexp(1) - own.squeeze(1)).sum() / max(len(queries), 1)
