"""The API of Kubeflow Pipelines, as far as these tests need one, and its quick compiler."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp.local import subprocess_task_handler

from pipelines import __main__ as command_line
from tests.fast_kfp import fast_kfp
from tests.pipelines.kubeflow import Kubeflow, serving


@pytest.fixture(scope="package", autouse=True)
def compiler() -> Iterator[None]:
    with fast_kfp():
        yield


@pytest.fixture(scope="package")
def warm_tasks(python: Path) -> Iterator[None]:
    """Tasks of KFP's local runner are processes of ``python``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_task_handler, "sys", SimpleNamespace(executable=str(python)))
        yield


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubeflow]:
    """An empty one. The client finds no configuration of the user's."""
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path_factory.mktemp("kfp") / "context.json"))
    monkeypatch.delenv("KF_PIPELINES_UI_ENDPOINT", raising=False)
    with serving(Kubeflow()) as server:
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        """The exit code of ``python -m pipelines`` with ``arguments``."""
        monkeypatch.setattr(sys, "argv", ["pipelines", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return int(ended.value.code or 0)

    return run
