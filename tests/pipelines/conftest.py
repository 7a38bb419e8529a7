"""The API of Kubeflow Pipelines, as far as these tests need one."""

from collections.abc import Iterator

import pytest

from tests.pipelines.kubeflow import Kubeflow, serving


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubeflow]:
    """An empty one. The client finds no configuration of the user's."""
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path_factory.mktemp("kfp") / "context.json"))
    monkeypatch.delenv("KF_PIPELINES_UI_ENDPOINT", raising=False)
    with serving(Kubeflow()) as server:
        yield server
