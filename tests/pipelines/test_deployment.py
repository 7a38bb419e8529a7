"""``python -m pipelines deploy``: whatever was changed by hand or built anew, the cluster serves what CURRENT names."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from rich.console import Console

from newsrec import artifact, releases
from pipelines import __main__ as command_line
from pipelines import submission
from pipelines.cluster import ClusterConfig
from pipelines.local import run
from tests.kubernetes_api import KubernetesApi, serving, write_kubeconfig
from tests.manifests.objects import find, render
from tests.pipelines.kubeflow import Kubeflow, details, task
from tests.trained import made

BUCKET, SITE = "mlpipeline", ClusterConfig()
NONE_YET = f"{SITE.storage}/none-yet"


class Bucket:
    """The object store."""

    def __init__(self, url: str) -> None:
        self.objects = boto3.resource("s3", endpoint_url=url, region_name="us-east-1").Bucket(BUCKET)
        self.objects.create()

    def lose_everything(self) -> None:
        self.objects.objects.all().delete()

    def contents(self) -> dict[str, object]:
        """Key -> when it was written."""
        return {part.key: part.last_modified for part in self.objects.objects.all()}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for variable, value in (("ACCESS_KEY_ID", "somebody"), ("SECRET_ACCESS_KEY", "secret"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{variable}", value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    httpx.post(f"{url}/moto-api/reset").raise_for_status()  # moto's buckets outlive its servers
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    yield Bucket(url)
    server.stop()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """Kubernetes with the InferenceService as the manifests have it, which serves nothing yet."""
    with serving(find(render("kind"), "InferenceService", "newsrec")) as api:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", api.url)))
        yield api


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, str, str]:
    """A folder where two releases were published and no cluster knows of it, and their versions."""
    root = tmp_path / "site"
    first, second = (artifact.save(made("popularity", seed, data_until=seed), tmp_path / str(seed)) for seed in (1, 2))
    old = releases.publish_artifact(root / "releases", first, "", "first")
    return root, old, releases.publish_artifact(root / "releases", second, old, "second")


def deploy(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["pipelines", "deploy", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return int(ended.value.code or 0)


def test_a_service_that_was_put_back_follows_again_and_once_is_enough(
    site: tuple[Path, str, str],
    bucket: Bucket,
    api: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, _, version = site
    uri = f"{SITE.storage}/{version}"
    assert api.storage_uri == NONE_YET
    assert deploy(monkeypatch, "--root", root) == 0
    assert capsys.readouterr().out == f"{uri}\n"
    assert api.storage_uri == uri
    written = bucket.contents()
    assert "newsrec/releases/CURRENT" in written
    release = [key for key in written if key != "newsrec/releases/CURRENT"]
    assert len(release) == 3
    assert all(key.startswith(f"newsrec/releases/{version}/") for key in release)
    assert deploy(monkeypatch, "--root", root) == 0
    assert (api.asked.count("PATCH"), bucket.contents()) == (1, written)


def test_a_cluster_that_was_built_anew_gets_the_release_of_the_folder(
    site: tuple[Path, str, str], bucket: Bucket, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, version = site
    deploy(monkeypatch, "--root", root)
    whole = bucket.contents().keys()
    bucket.lose_everything()
    api.edit(NONE_YET)
    assert deploy(monkeypatch, "--root", root) == 0
    assert (api.storage_uri, bucket.contents().keys()) == (f"{SITE.storage}/{version}", whole)


def test_a_pointer_that_was_set_by_hand_is_followed(
    site: tuple[Path, str, str], bucket: Bucket, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, old, _ = site
    deploy(monkeypatch, "--root", root)
    shutil.copy(root / "releases" / "published" / f"{old}.json", root / "releases" / "CURRENT")
    assert deploy(monkeypatch, "--root", root) == 0
    assert api.storage_uri == f"{SITE.storage}/{old}"


def test_another_object_store_and_service_come_from_the_toml(
    site: tuple[Path, str, str], bucket: Bucket, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, version = site
    (tmp_path / "site.toml").write_text(f'storage = "s3://{BUCKET}/elsewhere"\ninference_service = "newsrec/other"\n')
    api.thing["metadata"]["name"] = "other"
    assert deploy(monkeypatch, "--root", root, "--cluster", tmp_path / "site.toml") == 0
    assert api.storage_uri == f"s3://{BUCKET}/elsewhere/{version}"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root, old, new: (root / "CURRENT").unlink(), "has no release, expected one to deploy; publish first"),
        (lambda root, old, new: change(root / "CURRENT", version="v9"), "v9/policy.json cannot be read"),
        (
            lambda root, old, new: (root / "versions" / new / "weights.safetensors").write_bytes(b"short"),
            "weights.safetensors is corrupted",
        ),
        (
            lambda root, old, new: (
                (root / "versions" / old).rename(root / "versions" / "v9") and change(root / "CURRENT", version="v9")
            ),
            "versions/v9 holds [0-9a-f]+, expected the version that .*/CURRENT names",
        ),
    ],
)
def test_what_is_no_whole_release_is_not_deployed(
    site: tuple[Path, str, str],
    bucket: Bucket,
    api: KubernetesApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: object,
    sentence: str,
) -> None:
    root, old, new = site
    damage(root / "releases", old, new)
    assert deploy(monkeypatch, "--root", root) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(f"^pipelines: .*{sentence}", line)
    assert (api.storage_uri, bucket.contents()) == (NONE_YET, {})


def test_on_a_cluster_a_run_does_it(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow.scripts["newsrec-deploy"] = iter([{"state": "SUCCEEDED", **details(task("deploy", "SUCCEEDED", 5))}])
    assert deploy(monkeypatch, "--host", kubeflow.host) == 0
    (sent,) = kubeflow.runs.values()
    arguments = sent["runtime_config"]["parameters"]
    assert arguments.pop("run") in sent["display_name"]
    assert arguments == {
        "releases": "/mnt/newsrec/releases",
        "storage": SITE.storage,
        "service": SITE.inference_service,
    }
    assert capsys.readouterr().out.splitlines()[-1] == "  ✓ deploy  5 s"


@pytest.mark.usefixtures("warm_tasks")
def test_the_run_deploys_and_says_so_in_the_ledger(
    site: tuple[Path, str, str], bucket: Bucket, api: KubernetesApi
) -> None:
    """The pipeline itself, with the local runner."""
    root, _, version = site
    result = run("deploy", submission.deployment(root, SITE), root / "runs", Console(quiet=True))
    assert sorted(result.executed) == ["deploy", "report"]
    assert api.storage_uri == f"{SITE.storage}/{version}"
    ledger = [json.loads(line) for line in (root / "releases" / "runs.jsonl").read_text().splitlines()]
    assert [(line["state"], line["served"]) for line in ledger] == [("SUCCEEDED", version)]


def test_a_cluster_or_a_folder_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for both_or_none in ((), ("--host", "http://localhost:8888", "--root", "runs")):
        assert deploy(monkeypatch, *both_or_none) == 2
        assert "deploy takes --host URL or --root DIR, not both" in capsys.readouterr().err
