"""The API of Kubeflow Pipelines, as far as these tests need one, and its compiler without what makes it slow here."""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kfp.dsl import pipeline_task
from kfp.local import subprocess_task_handler

from pipelines import __main__ as command_line
from tests.pipelines.kubeflow import Kubeflow, serving


@pytest.fixture(scope="package", autouse=True)
def fast_kfp() -> Iterator[None]:
    """KFP compiles and submits as ever, and a hundred pipelines in a fifth of the time.

    Where it wants its caller's name it asks for the whole stack, with sources: 50 times a pipeline, which takes seconds
    below the frames of pytest. And it reads its YAML again with PyYAML's parser in Python, not the one in C.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=callers))
        patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
        yield


@pytest.fixture(scope="package")
def warm_tasks(python: Path) -> Iterator[None]:
    """Tasks of KFP's local runner are processes of ``python``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_task_handler, "sys", SimpleNamespace(executable=str(python)))
        yield


def callers() -> list[inspect.FrameInfo]:
    """The two innermost frames of ``inspect.stack()``, without sources."""
    here = sys._getframe(1)
    return [inspect.FrameInfo(frame, *inspect.getframeinfo(frame, 0)) for frame in (here, here.f_back)]


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
