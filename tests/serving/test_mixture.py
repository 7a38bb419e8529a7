"""A mixture is served: each reader gets the policy of their arm, and the log says it as an experiment reads it."""

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
import torch
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from prometheus_client import REGISTRY as METRICS
from typer.testing import CliRunner

from newsrec import artifact, mixture, releases
from newsrec.artifact import Artifact
from newsrec.assignment import pseudonym
from newsrec.catalogue import Catalogue
from newsrec.cli import app
from newsrec.features import DAY
from newsrec.mixture import Mixture
from newsrec.registry import REGISTRY
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.server import NotReady
from serving.slate_log import SlateLog
from tests.serving import small_log
from tests.serving.conftest import Site, clock, own_backends, serving, start
from tests.serving.test_predictor import V1, V2, tensor
from tests.serving.test_start import PORTS, one_line, relabelled, run

KEY = b"a secret of the site"
EXPERIMENT, SHARE = "sport", 0.4
READERS = [*small_log.READERS, *(f"reader-{number}" for number in range(34))]


def other_policy(site: Site) -> Artifact:
    """Of random weights, on the same articles in the opposite order."""
    articles = small_log.articles(site.now)
    catalogue = Catalogue(articles.take(pa.array(np.arange(articles.num_rows)[::-1])), articles.num_rows)
    entry = REGISTRY["transformer"]
    torch.manual_seed(1)
    policy = entry.policy(entry.config(width=16, layers=1), articles.num_rows)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape) / 4)
    return artifact.create("transformer", policy, catalogue)


@pytest.fixture(scope="module")
def mix(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    candidate = artifact.save(other_policy(site), folder / "candidate")
    mixture.write(folder / "mix", site.folder / "artifact", candidate, SHARE, EXPERIMENT)
    return folder / "mix"


@pytest.fixture(scope="module")
def loaded(mix: Path) -> Mixture:
    return mixture.load(mix)


@pytest.fixture
def backends(site: Site, tmp_path: Path) -> Iterator[Backends]:
    """A store and an event log of this test alone, reader ids hashed."""
    with own_backends(site, tmp_path, KEY) as made:
        yield made


def predictor(released: Artifact | Mixture, backends: Backends) -> Predictor:
    slate_log = SlateLog(backends.database, clock, every_seconds=0.005)
    return Predictor("newsrec", make_bundle(released, backends, ServingConfig()), backends, ServingConfig(), slate_log)


def ask(server: Predictor, readers: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    """The answers to one call, which are in the event log when this returns."""
    body = {"instances": [{"user_id": reader, **more} for reader in readers]}
    answers = asyncio.run(server.predict(body))["predictions"]
    assert server._slate_log
    assert server._slate_log.flush()
    return answers


def content(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "request_id"}


def test_in_one_call_each_reader_gets_what_their_policy_alone_would_answer(
    loaded: Mixture, backends: Backends, site: Site
) -> None:
    """Readers with and without a history; the two policies number the articles in opposite orders."""
    known = backends._replace(reader_key=None)
    request = {"k": 12, "seed": 5, "time": site.now}
    found = ask(predictor(loaded, known), READERS, **request)
    alone = {arm: ask(predictor(loaded.artifact(arm), known), READERS, **request) for arm in mixture.ARMS}
    arms = [loaded.arm(reader) for reader in READERS]
    assert [content(answer) for answer in found] == [content(alone[arm][i]) for i, arm in enumerate(arms)]
    for i, reader in enumerate(READERS):
        incumbent, candidate = (alone[arm][i] for arm in mixture.ARMS)
        assert incumbent["slate"] != candidate["slate"], reader
    assert {loaded.arm(reader) for reader in small_log.READERS} == set(mixture.ARMS)
    assert not all(answer["cold"] for answer in found)


def test_the_log_names_experiment_arm_and_the_policy_that_answered(loaded: Mixture, backends: Backends) -> None:
    """The arm is that of the id which the log has."""
    answers = ask(predictor(loaded, backends), READERS)
    rows = {row["request_id"]: row for row in backends.database.export().recommendations.to_pylist()}
    for reader, answer in zip(READERS, answers, strict=True):
        row, arm = rows[answer["request_id"]], loaded.arm(pseudonym(reader, KEY))
        assert (row["experiment"], row["arm"]) == (EXPERIMENT, arm)
        assert row["user_id"] == pseudonym(reader, KEY)
        served = loaded.artifact(arm)
        assert row["policy_version"] == answer["policy_version"] == served.version
        assert row["policy"] == answer["policy"] == served.name
    assert any(loaded.arm(reader) != loaded.arm(pseudonym(reader, KEY)) for reader in READERS)


def test_without_a_mixture_the_log_names_neither(loaded: Mixture, backends: Backends) -> None:
    ask(predictor(loaded.incumbent, backends), READERS[:3])
    log = backends.database.export().recommendations
    assert log["experiment"].null_count == log["arm"].null_count == log.num_rows == 3


def test_a_reader_keeps_the_arm_over_visits_and_servers(mix: Path, backends: Backends) -> None:
    servers = [predictor(mixture.load(mix), backends) for _ in range(2)]
    for order in (READERS, READERS[::-1], READERS[::3]):
        for server in servers:
            ask(server, order)
    log = backends.database.export().recommendations
    arms = {reader: set() for reader in log["user_id"].to_pylist()}
    for reader, arm in zip(log["user_id"].to_pylist(), log["arm"].to_pylist(), strict=True):
        arms[reader].add(arm)
    assert {len(found) for found in arms.values()} == {1}
    assert set.union(*arms.values()) == set(mixture.ARMS)


def test_an_experiment_is_read_from_the_log_of_a_mixture(loaded: Mixture, backends: Backends, tmp_path: Path) -> None:
    """At first, one policy serves everybody; then both do, in which nobody is in another arm than the hash says."""
    now, readers = clock(), [f"visitor-{number}" for number in range(200)]
    before, mixed = predictor(loaded.incumbent, backends), predictor(loaded, backends)
    for server, visit in ((before, now - 2 * DAY), (mixed, now)):
        for first in range(0, len(readers), 100):
            ask(server, readers[first : first + 100], k=2, candidates=["a38", "a39", "wrong", "a00"], time=visit)
    command = ["experiment", f"log:{backends.database.engine.url}", "--control=incumbent", f"--out={tmp_path / 'out'}"]
    command += [f"--set=shares.{arm}={share}" for arm, share in loaded.shares.items()]
    start = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now - DAY)).isoformat()
    expected = [loaded.arm(pseudonym(reader, KEY)) for reader in readers]
    for population in ([], [f"--start={start}", f"--salt={loaded.salt}"]):
        done = CliRunner().invoke(app, [*command, *population])
        assert done.exit_code == 0, (done.output, done.exception)
        found = json.loads((tmp_path / "out").read_text())
        assert found["experiment"] == EXPERIMENT
        assert found["split"]["readers"] == {arm: expected.count(arm) for arm in sorted(mixture.ARMS)}
        assert found["split"]["p_value"] > 0.01
        assert found["crossed"] == 0


def test_slates_are_counted_by_policy_and_arm(loaded: Mixture, backends: Backends) -> None:
    def counted(arm: str) -> float:
        return METRICS.get_sample_value("newsrec_slates_total", {"policy": "transformer", "arm": arm}) or 0.0

    server, arms = predictor(loaded, backends), ("", *mixture.ARMS)
    before = {arm: counted(arm) for arm in arms}
    ask(server, READERS)
    readers = [loaded.arm(pseudonym(reader, KEY)) for reader in READERS]
    assert {arm: counted(arm) - before[arm] for arm in arms} == {arm: readers.count(arm) for arm in arms}


def test_both_policies_are_tried_before_the_first_reader(loaded: Mixture, backends: Backends) -> None:
    class Broken(torch.nn.Module):
        def scores(self, state: Any, candidates: Any) -> torch.Tensor:
            raise RuntimeError("broken")

    for arm in mixture.ARMS:
        spoilt = loaded._replace(**{arm: loaded.artifact(arm)._replace(policy=Broken())})
        with pytest.raises(RuntimeError, match="broken"):
            predictor(spoilt, backends)
    predictor(loaded, backends).warm_up()
    assert backends.database.export().recommendations.num_rows == 0


def test_a_mixture_of_other_features_is_not_ready(site: Site, backends: Backends, tmp_path: Path) -> None:
    other = relabelled(site.folder / "artifact", tmp_path / "other")
    mixture.write(tmp_path / "mix", other, other, 0.5, EXPERIMENT)
    server = predictor(mixture.load(tmp_path / "mix"), backends)
    with pytest.raises(NotReady, match="expects 0123456789abcdef"):
        ask(server, ["ann"])


@pytest.mark.parametrize("spoilt", ["mixture.json", "candidate/weights.safetensors", "incumbent/policy.json"])
def test_a_torn_mixture_ends_with_one_sentence(
    spoilt: str,
    site: Site,
    mix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(mix, tmp_path / "torn")
    whole = (tmp_path / "torn" / spoilt).read_bytes()
    (tmp_path / "torn" / spoilt).write_bytes(whole[: len(whole) // 2])
    assert run(monkeypatch, f"--artifact={tmp_path / 'torn'}", *site.options, *PORTS) == 2
    assert str(tmp_path / "torn" / spoilt) in one_line(capfd)


@pytest.mark.usefixtures("warm")
def test_a_released_mixture_is_served_over_every_protocol(
    site: Site, mix: Path, loaded: Mixture, tmp_path: Path
) -> None:
    root, options = tmp_path / "releases", [f"--store={site.store}", f"--event-log=sqlite:///{tmp_path / 'events.db'}"]
    first = releases.publish_artifact(root, site.folder / "artifact", "", "run 1")
    version = releases.publish_artifact(root, mix, first, "run 2")
    request = [{"user_id": reader} for reader in READERS]
    server = start(tmp_path, "predictor", f"--artifact={root}", *options)
    with serving(server):
        over_v1 = server.http.post(V1, json={"instances": request}).json()["predictions"]
        rest = server.http.post(V2, json=tensor(*request)).json()
        contents = v2.InferTensorContents(bytes_contents=[json.dumps(r).encode() for r in request])
        sent = v2.ModelInferRequest.InferInputTensor(
            name="request", datatype="BYTES", shape=[len(request)], contents=contents
        )
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            over_grpc = GRPCInferenceServiceStub(channel).ModelInfer(
                v2.ModelInferRequest(model_name="newsrec", inputs=[sent]), timeout=30
            )
        metrics = server.http.get("/metrics").text
    expected = [loaded.artifact(loaded.arm(reader)).version for reader in READERS]
    over_v2 = [json.loads(answer) for answer in rest["outputs"][0]["data"]]
    last = [json.loads(answer) for answer in over_grpc.outputs[0].contents.bytes_contents]
    for answers in (over_v1, over_v2, last):
        assert [answer["policy_version"] for answer in answers] == expected
    assert (rest["model_version"], over_grpc.model_version) == (version, version)
    candidates = 3 * expected.count(loaded.candidate.version)
    assert f'newsrec_slates_total{{arm="candidate",policy="transformer"}} {float(candidates)}' in metrics
    assert f"mixture {version} of experiment {EXPERIMENT}: transformer {loaded.candidate.version} for 40.0%" in (
        server.log.read_text()
    )
