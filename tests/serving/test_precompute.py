"""Slates scored in advance are those of a request at that moment, and never hold what may no longer be shown."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from feature_repo import materialising
from feature_repo.errors import FeatureStoreMissing
from feature_repo.slate import ReaderSlate
from feature_repo.store import Store, open_store
from newsrec import artifact
from newsrec.artifact import Artifact
from newsrec.event_log import EventDatabase
from newsrec.features import HOUR, ReaderState, article_key
from newsrec.slate import SlateConfig
from serving.__main__ import app
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.precompute import PRECOMPUTED, STATE, BatchConfig, pack_ranking, precompute, unpack_ranking
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from tests.serving.conftest import Site
from tests.serving.small_log import READERS

GREEDY = ServingConfig(SlateConfig("greedy"))


class Served(NamedTuple):
    """A predictor of the small site, on a store and a log of this test alone, at a moment that the test decides."""

    backends: Backends
    released: Artifact
    moment: list[int]

    @property
    def store(self) -> Store:
        return self.backends.store

    def precompute(self) -> int:
        return precompute(make_bundle(self.released, self.backends, GREEDY), self.backends, GREEDY)

    def ask(self, batch: BatchConfig | None = None, config: ServingConfig = GREEDY, **request: Any) -> dict[str, Any]:
        bundle = make_bundle(self.released, self.backends, config)
        predictor = Predictor("newsrec", bundle, self.backends, config, batch=batch)
        return asyncio.run(predictor.predict({"instances": [request]}))["predictions"][0]


@pytest.fixture
def served(site: Site, tmp_path: Path) -> Iterator[Served]:
    shutil.copytree(site.untouched_store, tmp_path / "store")
    database, moment = EventDatabase(f"sqlite:///{tmp_path / 'events.db'}"), [site.now]
    backends = Backends(open_store(tmp_path / "store"), database, None, lambda: moment[0])
    backends = backends._replace(store=recreated(tmp_path / "store"))
    yield Served(backends, artifact.load(site.folder / "artifact"), moment)
    database.close()


def recreated(root: Path) -> Store:
    """The store under its new path."""
    from feature_repo.store import create_store

    return create_store(root)


def articles(answer: dict[str, Any]) -> list[str]:
    return [item["article_id"] for item in answer["slate"]]


def count(source: str) -> float:
    return PRECOMPUTED.labels(source)._value.get()


def test_a_ranking_is_packed_and_unpacked_and_another_packing_refused() -> None:
    keys, scores = np.array([1, 2**64 - 1], np.uint64), np.array([0.5, -3.25], np.float32)
    packed = pack_ranking(keys, scores)
    assert len(packed) == 25
    assert [column.tolist() for column in unpack_ranking(packed)] == [keys.tolist(), scores.tolist()]
    with pytest.raises(ValueError, match=r"begins with b'\\x02', expected b'\\x01'"):
        unpack_ranking(b"\x02" + packed[1:])


def test_a_stored_slate_is_that_of_a_request(served: Served) -> None:
    assert served.precompute() == len(READERS)
    before = count("stored")
    for reader in READERS:
        online, drawn = served.ask(user_id=reader, k=10), served.ask(BatchConfig(), user_id=reader, k=10)
        assert articles(drawn) == articles(online)
        assert [i["score"] for i in drawn["slate"]] == pytest.approx([i["score"] for i in online["slate"]], rel=1e-5)
    assert count("stored") - before == len(READERS)
    served.moment[0] += 5 * HOUR  # what is stored stays what it was, a request's scores go with the time
    later = served.ask(BatchConfig(), user_id=READERS[-1], k=10)
    assert articles(later) == articles(drawn)
    assert later["slate"] == drawn["slate"]
    assert served.ask(user_id=READERS[-1], k=10)["slate"] != online["slate"]


def test_what_was_read_excluded_or_withdrawn_since_is_left_out(served: Served) -> None:
    served.precompute()
    first, second, third, *rest = articles(served.ask(BatchConfig(), user_id="ann", k=10))
    row = served.store.readers(["ann"])[0]
    state = ReaderState.from_row(row)
    state.observe("click", article_key(first), served.moment[0], None)
    served.store.write_reader("ann", state.row(), row["event_timestamp"] + 1)
    known = {r["article_id"]: r for r in served.backends.database.articles()[0].to_pylist()}
    withdrawn = known[second] | {"hidden_at": served.moment[0] - 1}
    served.backends.database.upsert_articles([withdrawn], served.moment[0])
    before = count("stored")
    found = articles(served.ask(BatchConfig(), user_id="ann", k=7, exclude=[third]))
    assert found == rest[:7]
    assert count("stored") == before + 1


def test_frequencies_are_the_propensities_of_the_stored_scores(served: Served) -> None:
    served.precompute()
    config = ServingConfig(SlateConfig("epsilon", epsilon=0.5))
    bundle = make_bundle(served.released, served.backends, config)
    predictor = Predictor("newsrec", bundle, served.backends, config, batch=BatchConfig())
    asked = {"instances": [{"user_id": "ann", "k": 1, "seed": seed} for seed in range(100)]}
    drawn = [
        answer["slate"][0]
        for start in range(0, 600, 100)
        for answer in asyncio.run(
            predictor.predict({"instances": [i | {"seed": i["seed"] + start} for i in asked["instances"]]})
        )["predictions"]
    ]
    best, (article, p) = (
        Counter(i["article_id"] for i in drawn),
        max((i["propensity"], i["article_id"]) for i in drawn)[::-1],
    )
    assert abs(best[article] - 600 * p) < 4 * (600 * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("source", ["missing", "version", "age", "packing", "asked", "few"])
def test_what_cannot_be_drawn_from_is_scored_in_the_request(served: Served, source: str) -> None:
    served.precompute()
    (stored,) = (slate for _, slate in served.store.readers_and_slates(["ann"]))
    request: dict[str, Any] = {"user_id": "ann", "k": 5}
    if source == "missing":
        request["user_id"] = "somebody"
    elif source == "age":
        served.moment[0] += 2 * HOUR
    elif source == "asked":
        request["candidates"] = articles(served.ask(user_id="ann", k=8))
    elif source == "few":
        request["exclude"] = articles(served.ask(user_id="ann", k=100))[:-4]
    else:
        changed = {"version": {"policy_version": b"another"}, "packing": {"ranking": b"\x07" + stored.ranking[1:]}}
        other = ReaderSlate(**stored._asdict() | changed[source])
        served.store.write_slates({"ann": other._replace(made_at=other.made_at + 1)})
    before = count(source)
    answer = served.ask(BatchConfig(oldest_hours=1.0), **request)
    assert count(source) == before + 1
    assert articles(answer) == articles(served.ask(**request))
    assert answer["slate"]


def test_an_interrupted_run_goes_on_where_it_ended(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialising, "BATCH", 1)
    write, done = served.store.write_slates, []

    def fails(slates: dict[str, ReaderSlate]) -> int:
        if len(done) == 1:
            raise FeatureStoreMissing("gone")
        done.extend(slates)
        return write(slates)

    monkeypatch.setattr(served.store, "write_slates", fails)
    with pytest.raises(FeatureStoreMissing, match="gone"):
        served.precompute()
    monkeypatch.setattr(served.store, "write_slates", write)
    assert (served.store.root / STATE).exists()
    assert served.precompute() == len(READERS) - 1
    assert not (served.store.root / STATE).exists()
    assert all(slate is not None for _, slate in served.store.readers_and_slates(sorted(READERS)))
    assert served.precompute() == len(READERS)


def test_refuses_an_age_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="oldest_hours is 0, expected more than 0"):
        BatchConfig(oldest_hours=0)


def test_the_command(served: Served, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    where = [f"--store={served.store.root}", f"--event-log={served.backends.database.engine.url}"]
    app(["precompute", f"--artifact={site.folder / 'releases'}", *where, "--shortlist=7"], standalone_mode=False)
    assert capsys.readouterr().out.startswith(f"{len(READERS)} readers have slates of transformer ")
    for _, slate in served.store.readers_and_slates(READERS):
        assert slate is not None
        keys, _ = unpack_ranking(slate.ranking)
        assert len(keys) == 10  # as many as a request asks for by default
        assert slate.policy_version == served.released.version.encode()
