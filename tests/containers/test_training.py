"""The training pipeline, a container a task. A task that failed may be reported as successful by KFP's local runner
(kubeflow/pipelines#13332), so what counts is what the tasks left."""

import json

import docker
import pyarrow.parquet as pq
import pytest

from components import IMAGE
from newsrec import artifact, events
from tests.containers.training import POLICIES, Trained

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_200)]  # whichever is first builds the images


def test_every_task_left_what_it_promises(trained: Trained) -> None:
    ingested = events.read(trained.output("ingest", "events"))
    assert ingested.recommendations.equals(trained.log.recommendations)
    rows = pq.read_table(trained.output("features", "training_set") / "readers.parquet")
    assert rows.num_rows == trained.log.recommendations.num_rows
    models = [artifact.load(path) for path in trained.folder.glob("site/runs/*/for-loop-*/**/model")]
    assert sorted(model.name for model in models) == sorted(POLICIES)
    online = json.loads(trained.output("materialize", "metrics").read_text())
    assert online["articles"] == trained.log.articles.num_rows
    assert online["readers"] == len(set(trained.log.feedback["user_id"].to_pylist()))


def test_the_winner_is_the_release(engine: docker.DockerClient, trained: Trained) -> None:
    verdict = json.loads((trained.output("gate", "verdict") / "verdict.json").read_text())
    assert verdict["decision"] == "ship"
    winner = artifact.load(trained.output("evaluate", "winner"))
    assert winner.name == verdict["candidate"]
    assert trained.release.version == winner.version
    assert trained.release.run.startswith(f"{trained.run}/")
    labels = engine.images.get(IMAGE).labels
    assert winner.provenance["commit"] == labels["org.opencontainers.image.revision"]
    assert artifact.load(trained.release.directory).version == winner.version
    ledger = (trained.releases / "runs.jsonl").read_text().splitlines()
    expected = {"run": trained.release.run, "state": "SUCCEEDED", "error": "", "served": winner.version}
    assert [json.loads(line) for line in ledger] == [expected]
