"""Fixtures that every test may use: real logs where they are found, seeded generators."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = set(filter(None, os.environ.get("REQUIRE", "").split(",")))


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data("mind-5k")``: that folder of real logs, or a skip that says where it was looked for."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("NEWSREC_DATA", ROOT.parent / "shared" / "data")) / name
        if not path.exists():
            unavailable("data", f"real log {name} not found at {path}; set NEWSREC_DATA to a folder that holds it")
        return path

    return find


def unavailable(what: str, reason: str) -> None:
    """Skip with ``reason``, or fail where the environment variable REQUIRE lists ``what``."""
    if what in REQUIRED:
        pytest.fail(f"REQUIRE={what}: {reason}")
    pytest.skip(reason)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
