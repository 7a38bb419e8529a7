"""Forms of one request, from a table or from the policy, are those that the policy makes of a batch."""

from typing import Any

import numpy as np
import pytest
import torch

from newsrec.encoders.forms import Forms, FormTable
from newsrec.features import EMBEDDING_DIM
from newsrec.registry import REGISTRY
from newsrec.transitions import CONTEXT_DIM

ARTICLES = 7
FORMED = [name for name, entry in REGISTRY.items() if hasattr(entry.policy(entry.config(), ARTICLES), "forms")]
UNFIT = "decision_transformer"
"""Its hidden layer stands on a prompt as well."""


def drawn(name: str) -> tuple[Any, int]:
    """A policy with random weights in every head, and the length of its vectors."""
    policy: Any = REGISTRY[name].policy(REGISTRY[name].config(), ARTICLES)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    if not hasattr(policy, "article"):
        return policy, 0
    with torch.inference_mode():
        return policy, policy.article(torch.zeros(1, dtype=torch.int64), torch.zeros(1, EMBEDDING_DIM)).shape[1]


def refuse_other(table: FormTable, policy: Any, width: int) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        reader, context = (3 * rng.standard_normal(size).astype(np.float32) for size in (width, CONTEXT_DIM))
        with torch.inference_mode():
            expected = policy.forms(torch.from_numpy(reader)[None], torch.from_numpy(context)[None])
        for found, wanted in zip(table(reader, context), expected, strict=True):
            np.testing.assert_allclose(found.T, wanted[0].detach().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FORMED)
def test_a_table_gives_the_forms_of_the_policy(name: str) -> None:
    policy, width = drawn(name)
    table = FormTable(policy, width)
    assert table.fits == (name != UNFIT)
    refuse_other(table, policy, width)


class Bent:
    """A policy whose level is no affine function, and nobody says of what it is one."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def combined(self, values: torch.Tensor) -> torch.Tensor:
        return self.policy.combined(values)

    def forms(self, reader: torch.Tensor, context: torch.Tensor) -> Forms:
        forms = self.policy.forms(reader, context)
        return forms._replace(level=forms.level + 0.1 * reader[:, :1] ** 2)


def test_a_function_that_no_matrix_gives_is_asked_for() -> None:
    policy, width = drawn("iql")
    bent = Bent(policy)
    table = FormTable(bent, width)
    assert not table.fits
    refuse_other(table, bent, width)


def test_vectors_as_long_as_a_catalogue_make_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, width = drawn("transformer")
    monkeypatch.setattr(FormTable, "WIDEST", width - 1)
    table = FormTable(policy, width)
    assert not table.fits
    refuse_other(table, policy, width)
