"""A site whose titles go through a student: a new article gets its vector, and other encoders are refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from feature_repo.store import FeatureStoreError, open_store
from newsrec.encoders import text
from newsrec.encoders.text.distillation import StudentConfig, distil, save
from newsrec.event_log import EventDatabase
from newsrec.features import unpack_embedding
from serving.backends import Backends
from serving.collector import create_app
from tests.encoders.test_student import TITLES
from tests.serving.conftest import clock, make_site

pytest.importorskip("onnx", reason="the student is written by onnx: pip install newsrec[titles]")


def test_a_new_article_has_the_vector_of_the_student_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = StudentConfig(buckets=512, width=16, hidden=8, epochs=2)
    version = save(distil(config, TITLES, tmp_path / "store"), config, tmp_path / "student")
    monkeypatch.setenv("NEWSREC_ENCODER", str(tmp_path / "student"))
    site = make_site(tmp_path / "site", policy="popularity")
    assert json.loads((site.folder / "artifact" / "policy.json").read_text())["feature_hash"].endswith(version)

    store, database = open_store(site.store), EventDatabase(site.event_log)
    fresh = {"article_id": "fresh", "published_at": clock(), "title": "heavy rain expected over Cairo"}
    with TestClient(create_app(Backends(store, database, None, clock))) as collector:
        assert collector.post("/v1/articles", json={"articles": [fresh]}).json() == {"changed": 1}
    (logged,) = database.articles()[0]["embedding"].to_pylist()
    (stored,) = store.articles(["fresh"])
    expected = text.embed([fresh["title"]], [None], [None])[0]
    np.testing.assert_array_equal(logged, expected)
    np.testing.assert_array_equal(unpack_embedding(stored["embedding"]), expected)
    database.close()

    monkeypatch.delenv("NEWSREC_ENCODER")
    assert np.abs(text.embed([fresh["title"]], [None], [None])[0] - expected).max() > 0.05
    with pytest.raises(FeatureStoreError, match=version):
        open_store(site.store)
