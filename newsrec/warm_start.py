"""Start a policy from the weights of another one, by groups of layers.

The same part has the same name in every policy (``newsrec.encoders.scorer``), so a value learner starts from an
imitation policy, from a click model, or from a policy of another market. What is worth carrying over differs: how
histories are read holds anywhere, identities only where the same articles are read, critics only under the same reward.

Vectors of ``history``, ``identity`` and ``context`` lie in the space that ``content`` spans, which starts as a rotation
of its own in every policy: without ``content`` they are little more than noise of a familiar size. Settings that are no
weights (alpha, dropout, rewards) stay those of the new policy.
"""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.config import InvalidConfig

Layer = Literal["history", "content", "identity", "context", "critics"]
SCORER: tuple[Layer, ...] = ("history", "content", "identity", "context")
"""All that the sequence policies share."""

_PARTS: dict[Layer, tuple[str, ...]] = {
    "history": ("dwell.", "history.", "output."),
    "content": ("article.content.",),
    "identity": ("article.identity.",),
    "context": ("context.", "moment.", "demand.", "fatigue."),
}
_BY_ARTICLE = "identity.weight"
"""The end of the name of a table with a row for each article that is known by index."""


def warm_start(
    policy: nn.Module, catalogue: Catalogue, source: Artifact, layers: tuple[Layer, ...] = SCORER
) -> dict[str, Any]:
    """Copy ``layers`` of ``source`` into an untrained ``policy`` over ``catalogue``, and say what was copied.

    Identities follow the articles' ids: an article that the source does not know by index keeps its initial one.
    ``critics`` are whatever stands beside the scorer (values, baselines, actor) and exists in both. Raises
    InvalidConfig, before anything is copied, where a layer is unknown or does not fit.
    """
    known = (*_PARTS, "critics")
    if not layers or any(layer not in known for layer in layers):
        raise InvalidConfig(f"warm_start_layers is {list(layers)}, expected some of {', '.join(known)}")
    ours, theirs = policy.state_dict(), source.policy.state_dict()
    copied = {layer: _shared(ours, theirs, layer, source) for layer in layers}
    rows = source.catalogue.index(source.catalogue.rows(catalogue.ids[: catalogue.trained + 1]))  # [trained + 1]
    with torch.no_grad():
        for names in copied.values():
            for name in names:
                _copy(ours[name], theirs[name], rows if name.endswith(_BY_ARTICLE) else None)
    return {
        "policy": source.name,
        "version": source.version,
        "layers": {layer: sum(ours[name].numel() for name in names) for layer, names in copied.items()},
        "articles": int((rows > 0).sum()),
    }


def _copy(own: Tensor, other: Tensor, rows: np.ndarray | None) -> None:
    """Write ``other`` into ``own``, all of it or, where ``rows`` says which is which, the rows that are not 0."""
    if rows is None:
        own.copy_(other)
    else:
        known = torch.from_numpy(np.flatnonzero(rows))
        own[known] = other[torch.from_numpy(rows)[known]]


def _shared(ours: dict[str, Tensor], theirs: dict[str, Tensor], layer: Layer, source: Artifact) -> list[str]:
    """The names of a layer's tensors. Raises InvalidConfig where the two do not have the same ones."""
    own, other = _shapes(ours, layer), _shapes(theirs, layer)
    if layer == "critics":
        both = {_head(name) for name in own} & {_head(name) for name in other}
        own, other = ({name: s for name, s in shapes.items() if _head(name) in both} for shapes in (own, other))
    where = f"{layer} of {source.name} {source.version} does not fit"
    if not own or not other:
        raise InvalidConfig(f"{where}: found no layer in common; leave {layer} out of warm_start_layers")
    for name in sorted({*own, *other}):
        if own.get(name) != other.get(name):
            found, expected = (f"{name} {shapes[name]}" if name in shapes else f"no {name}" for shapes in (other, own))
            advice = f"give both the same network, or leave {layer} out of warm_start_layers"
            raise InvalidConfig(f"{where}: found {found}, expected {expected}; {advice}")
    return list(own)


def _shapes(weights: dict[str, Tensor], layer: Layer) -> dict[str, list[int]]:
    """The shapes of a layer's tensors; of one row, where each article has its own."""
    return {
        name: list(tensor.shape[1:] if name.endswith(_BY_ARTICLE) else tensor.shape)
        for name, tensor in weights.items()
        if _layer(name) == layer
    }


def _layer(name: str) -> Layer:
    return next((layer for layer, parts in _PARTS.items() if name.startswith(parts)), "critics")


def _head(name: str) -> str:
    return name.partition(".")[0]
