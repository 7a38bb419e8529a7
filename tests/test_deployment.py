"""Deployment: S3 and Kubernetes are spoken to over HTTP; the InferenceService is the one that the manifests render."""

import copy
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from newsrec import artifact, mixture
from newsrec.deployment import deploy, publish_to, roll_back_to, served_uri
from newsrec.release_storage import DeploymentFailed
from newsrec.releases import Conflict, current, publish_artifact
from tests.kubernetes_api import KubernetesApi, serving, write_kubeconfig
from tests.manifests.objects import OVERLAYS, find, render
from tests.trained import made

BUCKET, PREFIX = "mlpipeline", "newsrec/releases"
STORAGE, SERVICE = f"s3://{BUCKET}/{PREFIX}", "newsrec/newsrec"
PARTS = ["articles.parquet", "policy.json", "weights.safetensors"]


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket that keeps every version of an object, so that a second write shows."""
    httpx.post(f"{s3_url}/moto-api/reset").raise_for_status()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = boto3.resource("s3", endpoint_url=s3_url, region_name="us-east-1").Bucket(BUCKET)
    found.create()
    found.Versioning().enable()
    return found


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """Kubernetes with the InferenceService of the overlay for kind."""
    with serving(find(render("kind"), "InferenceService", "newsrec")) as api:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", api.url)))
        yield api


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "releases"


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Three artefacts, from ever newer events."""
    return [
        artifact.save(made("popularity", seed, data_until=seed * 100), tmp_path / f"model-{seed}") for seed in (1, 2, 3)
    ]


def publish(root: Path, model: Path) -> str:
    """As a run does that was compared with what is served."""
    served = current(root)
    return publish_to(root, model, served.version if served else "", "run", STORAGE, SERVICE)


def writes(bucket: Any) -> dict[str, int]:
    """Key -> how often it was written, but for the pointer, which moves."""
    keys = [version.object_key for version in bucket.object_versions.all()]
    return {key: keys.count(key) for key in keys if key != f"{PREFIX}/CURRENT"}


def once(*versions: str) -> dict[str, int]:
    """Whole artefacts, each part written once."""
    return {f"{PREFIX}/{version}/{part}": 1 for version in versions for part in PARTS}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def served_version(root: Path) -> str:
    release = current(root)
    assert release is not None
    return release.version


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_first_release_is_served_and_nothing_else_of_the_service_changes(
    overlay: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    api.thing = find(render(overlay), "InferenceService", "newsrec")
    expected = copy.deepcopy(api.thing)
    assert served_uri(SERVICE).endswith("/releases/none-yet")
    version = publish(root, models[0])
    expected["spec"]["predictor"]["containers"][0]["env"][0]["value"] = f"{STORAGE}/{version}"
    assert api.thing == expected
    assert served_uri(SERVICE) == f"{STORAGE}/{version}"
    assert served_version(root) == version


def test_the_variable_is_found_wherever_it_stands(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    api.environment.append(api.environment.pop(0))
    others = api.environment[:-1]
    version = publish(root, models[0])
    assert api.environment == [*others, {"name": "STORAGE_URI", "value": f"{STORAGE}/{version}"}]


def test_what_is_in_the_object_store_loads_as_the_version_that_was_published(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, tmp_path: Path
) -> None:
    version = publish(root, models[0])
    assert writes(bucket) == once(version)
    (tmp_path / "models").mkdir()
    for part in bucket.objects.filter(Prefix=f"{PREFIX}/{version}/"):
        bucket.download_file(part.key, str(tmp_path / "models" / part.key.rsplit("/", 1)[1]))
    assert artifact.load(tmp_path / "models").version == version == artifact.load(models[0]).version


def test_the_manifest_is_written_last(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "werkzeug"):
        version = publish(root, models[0])
    written = re.findall(rf'"PUT /{BUCKET}/{PREFIX}/{version}/([\w.]+)', caplog.text)
    assert sorted(written) == PARTS
    assert written[-1] == "policy.json"


def test_a_mixture_is_written_with_both_artefacts_and_its_manifest_last(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    first = publish(root, models[0])
    mixture.write(tmp_path / "mix", models[0], models[1], 0.12, "front-page")
    with caplog.at_level(logging.INFO, "werkzeug"):
        version = publish(root, tmp_path / "mix")
    written = re.findall(rf'"PUT /{BUCKET}/{PREFIX}/{version}/([\w./]+)', caplog.text)
    assert sorted(written) == sorted(contents(tmp_path / "mix"))
    assert written[-1] == "mixture.json"
    assert api.storage_uri == f"{STORAGE}/{version}"
    for part in bucket.objects.filter(Prefix=f"{PREFIX}/{version}/"):
        place = tmp_path / "pod" / part.key.removeprefix(f"{PREFIX}/{version}/")
        place.parent.mkdir(parents=True, exist_ok=True)
        bucket.download_file(part.key, str(place))
    assert mixture.load(tmp_path / "pod").version == version
    assert roll_back_to(root, version, STORAGE, SERVICE) == first
    assert api.storage_uri == f"{STORAGE}/{first}"


def test_the_second_time_nothing_changes(root: Path, models: list[Path], bucket: Any, api: KubernetesApi) -> None:
    version = publish(root, models[0])
    assert api.asked == ["GET", "PATCH"]
    before = contents(root)
    assert publish(root, models[0]) == version
    assert deploy(root, f"{STORAGE}/", SERVICE) == f"{STORAGE}/{version}"
    assert api.asked == ["GET", "PATCH", "GET", "GET"]
    assert writes(bucket) == once(version)
    assert contents(root) == before


def test_a_run_that_died_after_the_pointer_moved_is_completed_when_it_is_repeated(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first = publish(root, models[0])
    second = publish_artifact(root, models[1], first, "run 2")
    assert api.storage_uri == f"{STORAGE}/{first}"
    assert publish_to(root, models[1], first, "run 2", STORAGE, SERVICE) == second
    assert api.storage_uri == f"{STORAGE}/{second}"
    assert writes(bucket) == once(first, second)


def test_a_prefix_without_its_manifest_is_completed(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    version = artifact.load(models[0]).version
    bucket.upload_file(str(models[0] / "articles.parquet"), f"{PREFIX}/{version}/articles.parquet")
    assert publish(root, models[0]) == version
    assert writes(bucket) == once(version)
    assert api.storage_uri == f"{STORAGE}/{version}"


@pytest.mark.parametrize("part", PARTS)
def test_an_object_that_differs_is_refused_by_name_before_anything_is_written(
    part: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    version = artifact.load(models[0]).version
    bucket.upload_file(str(models[1] / part), f"{PREFIX}/{version}/{part}")
    with pytest.raises(DeploymentFailed, match=rf"^{STORAGE}/{version}/{part} differs from {root}.*; find out who"):
        publish(root, models[0])
    assert writes(bucket) == {f"{PREFIX}/{version}/{part}": 1}
    assert api.storage_uri == f"{STORAGE}/none-yet"


def test_an_edit_by_hand_between_read_and_patch_is_not_overwritten(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first = publish(root, models[0])
    api.before["PATCH"] = lambda: api.edit("s3://elsewhere/by-hand")
    with pytest.raises(DeploymentFailed, match=r"answered 422 .*; its STORAGE_URI was changed meanwhile: see by whom"):
        publish(root, models[1])
    assert api.storage_uri == "s3://elsewhere/by-hand"
    second = served_version(root)
    assert second != first
    assert publish_to(root, models[1], first, "run", STORAGE, SERVICE) == second
    assert api.storage_uri == f"{STORAGE}/{second}"


def without_bucket(bucket: Any, api: KubernetesApi) -> None:
    bucket.delete()


def without_permission(bucket: Any, api: KubernetesApi) -> None:
    who = 'User "system:serviceaccount:kubeflow:newsrec-runner"'
    api.refusals["PATCH"] = (403, f'inferenceservices.serving.kserve.io "newsrec" is forbidden: {who} cannot patch')


def without_inference_service(bucket: Any, api: KubernetesApi) -> None:
    api.thing["metadata"]["name"] = "other"


def without_storage_uri(bucket: Any, api: KubernetesApi) -> None:
    del api.environment[0]


def without_container(bucket: Any, api: KubernetesApi) -> None:
    api.thing["spec"]["predictor"] = {"model": {"modelFormat": {"name": "sklearn"}}}


def without_answer(bucket: Any, api: KubernetesApi) -> None:
    api.refusals["PATCH"] = (503, "the server is currently\nunable to handle the request")


FAULTS = [
    (without_bucket, r"was not written: .*The specified bucket does not exist.*; expected a bucket that .*: check its"),
    (
        without_permission,
        r"PATCH was answered 403 \(inference.*newsrec-runner\" cannot patch\).*; give this account get",
    ),
    (
        without_inference_service,
        r"GET was answered 404 \(inferenceservices.* \"newsrec\" not found\).*; apply the mani",
    ),
    (without_storage_uri, r"newsrec/newsrec has \['NEWSREC_REDIS', .*, expected STORAGE_URI with a value; apply the"),
    (without_container, r"newsrec/newsrec has \[\] in .*, expected STORAGE_URI with a value; apply the manifests"),
    (without_answer, r"PATCH was answered 503 \(the server is currently unable to handle .*; repeat the run"),
]


@pytest.mark.parametrize(("fault", "sentence"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_is_said_in_one_sentence_and_leaves_what_was_served_and_can_be_repeated(
    fault: Callable[[Any, KubernetesApi], None],
    sentence: str,
    root: Path,
    models: list[Path],
    bucket: Any,
    api: KubernetesApi,
) -> None:
    sound = copy.deepcopy(api.thing)
    fault(bucket, api)
    faulty = copy.deepcopy(api.thing)
    with pytest.raises(DeploymentFailed, match=sentence) as refused:
        publish(root, models[0])
    assert "\n" not in str(refused.value)
    assert api.thing == faulty
    bucket.create()
    api.thing, api.refusals = sound, {}
    version = publish(root, models[0])
    assert api.storage_uri == f"{STORAGE}/{version}"
    assert writes(bucket).keys() == once(version).keys()


def test_wrong_credentials_are_said_in_one_sentence(
    s3_url: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    httpx.post(f"{s3_url}/moto-api/reset-auth", content="0").raise_for_status()
    try:
        with pytest.raises(DeploymentFailed, match=r"was not written: .*ACCESS_DENIED.* and the credentials, and repe"):
            publish(root, models[0])
    finally:
        httpx.post(f"{s3_url}/moto-api/reset-auth", content="inf").raise_for_status()
    assert api.asked == []


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "was not written: .*connect.*: check its name, AWS_ENDPOINT_URL"),
        ("KUBECONFIG", "/nowhere", r"no cluster was found \(.*\), .*; run in a pod or set KUBECONFIG"),
        ("KUBECONFIG", "nobody", r"Kubernetes does not answer \(.*refused.*\), .*; check KUBECONFIG"),
        ("KUBECONFIG", "stranger", r"GET was answered 401 \(Unauthorized\), .*; sign in again"),
    ],
)
def test_a_wrong_address_is_said_in_one_sentence(
    variable: str,
    value: str,
    sentence: str,
    root: Path,
    models: list[Path],
    bucket: Any,
    api: KubernetesApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {
        "nobody": write_kubeconfig(tmp_path / "nobody", "http://127.0.0.1:1"),
        "stranger": write_kubeconfig(tmp_path / "stranger", api.url, token="another"),
    }
    monkeypatch.setenv(variable, str(files.get(value, value)))
    with pytest.raises(DeploymentFailed, match=sentence) as refused:
        publish(root, models[0])
    assert "\n" not in str(refused.value)
    assert api.storage_uri == f"{STORAGE}/none-yet"


@pytest.mark.parametrize(
    "storage", ["/mnt/models", "s3:/mlpipeline/releases", "s3://", "s3://bucket//releases", "gs://bucket"]
)
def test_a_storage_that_is_no_bucket_is_refused(
    storage: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    with pytest.raises(DeploymentFailed, match=rf"^storage is '{storage}', expected s3://BUCKET/PREFIX"):
        publish_to(root, models[0], "", "run", storage, SERVICE)
    assert (api.asked, writes(bucket)) == ([], {})


@pytest.mark.parametrize("service", ["", "newsrec", "a/b/c"])
def test_a_service_without_its_namespace_is_refused(
    service: str, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    with pytest.raises(DeploymentFailed, match=rf"^service is '{service}', expected NAMESPACE/NAME"):
        publish_to(root, models[0], "", "run", STORAGE, service)
    assert api.asked == []


def test_there_is_nothing_to_deploy_before_a_release(root: Path, bucket: Any, api: KubernetesApi) -> None:
    with pytest.raises(DeploymentFailed, match="has no release, expected one to deploy; publish first"):
        deploy(root, STORAGE, SERVICE)


def test_a_roll_back_restores_the_release_before_in_pointer_and_service(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first, second = publish(root, models[0]), publish(root, models[1])
    assert api.storage_uri == f"{STORAGE}/{second}"
    assert roll_back_to(root, second, STORAGE, SERVICE) == first
    assert served_version(root) == first
    assert api.storage_uri == f"{STORAGE}/{first}"
    assert writes(bucket) == once(first, second)


@pytest.mark.parametrize("named", [True, False])
def test_a_roll_back_that_the_service_did_not_follow_is_completed_and_goes_no_further(
    named: bool, root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    _, second, third = (publish(root, model) for model in models)
    expected = third if named else ""
    api.refusals["PATCH"] = (503, "later")
    with pytest.raises(DeploymentFailed, match="503"):
        roll_back_to(root, expected, STORAGE, SERVICE)
    assert served_version(root) == second
    assert api.storage_uri == f"{STORAGE}/{third}"
    api.refusals.clear()
    assert roll_back_to(root, expected, STORAGE, SERVICE) == second
    assert served_version(root) == second
    assert api.storage_uri == f"{STORAGE}/{second}"


def test_without_a_name_each_roll_back_goes_one_release_further(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first, second, _ = (publish(root, model) for model in models)
    for version in (second, first):
        assert roll_back_to(root, "", STORAGE, SERVICE) == version
        assert api.storage_uri == f"{STORAGE}/{version}"


def test_a_roll_back_of_what_is_not_served_changes_nothing(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first, second = publish(root, models[0]), publish(root, models[1])
    before, asked = contents(root), list(api.asked)
    with pytest.raises(Conflict, match=rf"^{second} is served by now, expected {first}"):
        roll_back_to(root, first, STORAGE, SERVICE)
    assert contents(root) == before
    assert api.asked == asked


def test_without_a_cluster_the_pointer_is_all(root: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    first = publish_to(root, models[0], "", "run 1", "", "")
    second = publish_to(root, models[1], first, "run 2", "", "")
    assert served_version(root) == second
    assert deploy(root, "", "") == ""
    assert roll_back_to(root, "", "", "") == first


def test_a_deployment_under_way_holds_up_the_next_release(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    """Without the lock the second is through while the first waits, and the first then overwrites it."""
    first = publish(root, models[0])
    second = publish_artifact(root, models[1], first, "slow run")
    rival = threading.Thread(target=publish_to, args=(root, models[2], second, "rival", STORAGE, SERVICE))

    def meanwhile() -> None:
        rival.start()
        rival.join(1.0)

    api.before["GET"] = meanwhile
    deploy(root, STORAGE, SERVICE)
    rival.join(60)
    third = artifact.load(models[2]).version
    assert served_version(root) == third
    assert api.storage_uri == f"{STORAGE}/{third}"


def test_of_two_runs_that_publish_at_once_one_is_refused_and_the_other_served(
    root: Path, models: list[Path], bucket: Any, api: KubernetesApi
) -> None:
    first, refused, together = publish(root, models[0]), [], threading.Barrier(2)

    def run(model: Path) -> None:
        together.wait()
        try:
            publish_to(root, model, first, model.name, STORAGE, SERVICE)
        except Conflict as conflict:
            refused.append(str(conflict))

    threads = [threading.Thread(target=run, args=(model,)) for model in models[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 1
    assert served_version(root) != first
    assert api.storage_uri == f"{STORAGE}/{served_version(root)}"
