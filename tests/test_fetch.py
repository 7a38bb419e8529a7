"""A releases folder made of the object store: what the collector of a cluster has of the releases."""

from pathlib import Path
from typing import Any

import pytest

from newsrec import mixture, releases
from newsrec.artifact import InvalidArtifact
from newsrec.deployment import deploy, roll_back_to
from newsrec.release_storage import DeploymentFailed, fetch
from tests.kubernetes_api import KubernetesApi
from tests.test_deployment import BUCKET, PREFIX, SERVICE, STORAGE, api, bucket, contents, models, publish, root, s3_url

__all__ = ["api", "bucket", "models", "root", "s3_url"]
POINTER = f"{PREFIX}/CURRENT"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def served(folder: Path) -> str:
    """The version that is current in ``folder``, seen to be whole."""
    release = releases.current(folder)
    assert release is not None
    assert releases.load(release.directory).version == release.version
    return release.version


def test_it_follows_publishing_and_rolling_back_and_keeps_two_versions(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path
) -> None:
    assert (fetch(STORAGE, copy), copy.exists()) == (False, False)
    versions = []
    for model in models:
        versions.append(publish(root, model))
        assert fetch(f"{STORAGE}/", copy)
        assert served(copy) == versions[-1]
        assert contents(copy / "versions" / versions[-1]) == contents(root / "versions" / versions[-1])
        assert {path.name for path in (copy / "versions").iterdir()} == set(versions[-2:])
        assert not fetch(STORAGE, copy)
    assert roll_back_to(root, versions[2], STORAGE, SERVICE) == versions[1]
    assert fetch(STORAGE, copy)
    assert releases.current(copy) == releases.Release(**{**vars(releases.current(root)), "root": copy})


def test_a_mixture_comes_with_its_arms(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path, tmp_path: Path
) -> None:
    publish(root, models[0])
    mixture.write(tmp_path / "mix", models[0], models[1], 0.12, "front-page")
    version = publish(root, tmp_path / "mix")
    assert fetch(STORAGE, copy)
    assert served(copy) == version


def test_the_pointer_moves_last_and_only_when_it_has_to(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    def moves() -> int:
        return len(list(bucket.object_versions.filter(Prefix=POINTER)))

    publish(root, models[0])
    deploy(root, STORAGE, SERVICE)
    assert moves() == 1
    before = bucket.Object(POINTER).get()["Body"].read()
    api.refusals["PATCH"] = (403, "no")
    with pytest.raises(DeploymentFailed):
        publish(root, models[1])
    assert bucket.Object(POINTER).get()["Body"].read() == before
    api.refusals.clear()
    deploy(root, STORAGE, SERVICE)
    assert (moves(), bucket.Object(POINTER).get()["Body"].read()) == (2, (root / "CURRENT").read_bytes())


@pytest.mark.parametrize("part", ["policy.json", "weights.safetensors"])
def test_of_half_a_release_nothing_is_taken(
    part: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path
) -> None:
    publish(root, models[0])
    fetch(STORAGE, copy)
    before, second = contents(copy), publish(root, models[1])
    bucket.Object(f"{PREFIX}/{second}/{part}").delete()
    with pytest.raises(InvalidArtifact):
        fetch(STORAGE, copy)
    assert contents(copy) == before
    deploy(root, STORAGE, SERVICE)
    assert fetch(STORAGE, copy)
    assert served(copy) == second


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "CURRENT holds no release: Expecting"),
        ('{"version": "../../x", "previous": null, "run": "", "data_until": 0}', "'../../x' is no name of a folder"),
    ],
)
def test_a_pointer_that_names_no_release_is_refused(
    text: str, found: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path
) -> None:
    bucket.Object(POINTER).put(Body=text.encode())
    with pytest.raises(InvalidArtifact, match=found):
        fetch(STORAGE, copy)
    assert not copy.exists()


def test_a_version_that_holds_another_is_refused(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path
) -> None:
    first, second = publish(root, models[0]), publish(root, models[1])
    for part in contents(models[0]):
        bucket.copy({"Bucket": BUCKET, "Key": f"{PREFIX}/{first}/{part}"}, f"{PREFIX}/{second}/{part}")
    with pytest.raises(InvalidArtifact, match=f"{second} holds {first}"):
        fetch(STORAGE, copy)
    assert list((copy / "versions").iterdir()) == []


def test_without_the_bucket_the_folder_stays(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(root, models[0])
    fetch(STORAGE, copy)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"connect|credentials"):
        fetch(STORAGE, copy)
    assert served(copy) == version
