"""A small artefact without a training run, for the tests of what becomes of artefacts."""

from typing import Any

import torch

from newsrec import artifact
from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.events import from_rows, validate
from newsrec.features import EMBEDDING_DIM
from newsrec.registry import REGISTRY
from tests.logs import MONDAY, article


def made(name: str = "matrix_factorization", seed: int = 0, trained: int = 4, **provenance: Any) -> Artifact:
    """Random weights over six articles, the first ``trained`` of them known by index."""
    torch.manual_seed(seed)
    rows = [article(a, MONDAY, title=a, embedding=torch.randn(EMBEDDING_DIM).tolist()) for a in "abcdef"]
    catalogue = Catalogue(validate(from_rows("articles", rows), "articles"), trained)
    entry = REGISTRY[name]
    policy = entry.policy(entry.config(), trained)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape) / 8)
    return artifact.create(name, policy, catalogue, provenance={"data_until": MONDAY, **provenance})
