"""Days of one site through the daily pipeline: a first release, a quiet day, broken data, a bad release."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from feature_repo.store import open_store
from newsrec import artifact, events, ingestion, releases
from newsrec.events import EventLog, microseconds
from newsrec.features import DAY, HOUR
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from pipelines.local import RunFailed, RunResult, run
from pipelines.submission import Submission
from tests.trained import made

pytestmark = pytest.mark.usefixtures("warm_tasks")
LENIENT = "min_lift_over_popularity = -1.0\nmin_lift_over_incumbent = -1.0\nmin_coverage_of_incumbent = 0.0\n"
RULES = """
[contract]
max_missing_propensities = 0.0
[rules]
min_decisions = 100
min_readers = 40
max_growth = 1.0
[drift]
threshold = 100.0
"""
"""Few readers make a log of minutes: fewer decisions are asked for, and drift is left to the tests of its own."""
WORLD = SimulationConfig(readers=120, days=8, articles_per_day=20, population=PopulationConfig(visits_per_day=0.8))
END = WORLD.end_time


class Site:
    """A site whose log is written by hand, day by day."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.whole = events.read(ingestion.simulate_to(WORLD, root / "whole"))
        (root / "gate.toml").write_text(LENIENT + "max_same_list = 1.0\n")
        (root / "rules.toml").write_text(RULES)
        (root / "popularity.toml").write_text('policy = "popularity"\n[training]\nepochs = 1\n')

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    def run(self, log: EventLog, until: int) -> RunResult:
        """The daily run at ``until`` (microseconds) on what had arrived by then."""
        arrived = log._replace(
            recommendations=log.recommendations.filter(pa.array(microseconds(log.recommendations["time"]) < until)),
            feedback=log.feedback.filter(pa.array(microseconds(log.feedback["received_at"]) < until)),
        )
        events.write(arrived, self.root / "log")
        source, policies = f"events:{self.root / 'log'}", (self.root / "popularity.toml",)
        submission = Submission(source, policies, self.root, gate=self.root / "gate.toml")
        moment = np.datetime64(until, "us").item().isoformat() + "Z"
        arguments = submission.feedback(self.root / "rules.toml", moment)
        return run("feedback", arguments, self.root / "runs", Console(quiet=True))

    def online(self) -> list[str]:
        """All that the online store holds, wherever SQLite keeps it."""
        with closing(sqlite3.connect(self.root / "store" / "online_store.db")) as connection:
            return list(connection.iterdump())

    def served(self) -> str:
        release = releases.current(self.releases)
        assert release is not None
        return release.version


def signed(log: EventLog, version: str, since: int) -> EventLog:
    """The decisions from ``since`` on are those of the release ``version``."""
    of = pa.array(microseconds(log.recommendations["time"]) >= since)
    versions = pc.if_else(of, version, log.recommendations["policy_version"])
    at = log.recommendations.schema.get_field_index("policy_version")
    field = log.recommendations.schema.field(at)
    return log._replace(recommendations=log.recommendations.set_column(at, field, versions))


def action(result: RunResult) -> tuple[str, list[str]]:
    metrics = json.loads((result.directory / "observe" / "metrics").read_text())
    return metrics["action"], metrics["reasons"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def first(site: Site) -> RunResult:
    return site.run(site.whole, END - 2 * DAY)


def test_a_site_without_a_release_is_trained(site: Site, first: RunResult) -> None:
    assert action(first) == ("retrain", ["no_release"])
    assert first.verdict is not None
    assert first.verdict["ship"]
    assert "publish" in first.executed
    assert site.served() in {path.name for path in (site.releases / "versions").iterdir()}
    assert (first.directory / "check" / "contract" / "report.md").exists()


def test_a_quiet_day_moves_features_and_nothing_else(site: Site, first: RunResult) -> None:
    before, online = site.served(), open_store(site.root / "store")
    reader = site.whole.feedback["user_id"].to_pylist()[-1]
    (old,) = online.readers([reader])
    result = site.run(signed(site.whole, before, END - 2 * DAY), END - DAY)
    assert action(result) == ("keep", [])
    assert result.verdict is None
    assert {"train", "publish", "roll-back"}.isdisjoint(result.executed + result.cached)
    assert site.served() == before
    (new,) = online.readers([reader])
    assert new["event_timestamp"] > (old["event_timestamp"] or 0)


def test_a_day_that_breaks_the_contract_changes_nothing(site: Site, first: RunResult) -> None:
    before = site.served()
    online = site.online()
    clicks_lost = site.whole._replace(
        feedback=site.whole.feedback.filter(pc.not_equal(site.whole.feedback["kind"], "click"))
    )
    with pytest.raises(RunFailed, match=r"task check failed: .*ContractBroken: click_rate: found 0 .*expected"):
        site.run(clicks_lost, END - DAY)
    assert site.served() == before
    assert site.online() == online
    ledger = (site.releases / "runs.jsonl").read_text().splitlines()
    assert json.loads(ledger[-1])["state"] == "FAILED"


def test_a_bad_release_is_rolled_back_by_the_run_itself(site: Site, first: RunResult) -> None:
    """The second release takes over for three of eight days, and four of five of its readers' clicks are missing."""
    good = releases.current(site.releases)
    assert good is not None
    worse = artifact.save(made("popularity", data_until=good.data_until), site.root / "worse")
    bad = releases.publish_artifact(site.releases, worse, good.version, "by hand")
    takeover = END - 3 * DAY - 6 * HOUR
    log = signed(signed(site.whole, good.version, 0), bad, takeover)
    late = microseconds(log.feedback["time"]) >= takeover
    reads = pc.is_in(log.feedback["kind"], pa.array(["click", "dwell"])).to_numpy(zero_copy_only=False)
    lost = late & reads & (np.arange(len(late)) % 5 > 0)
    log = log._replace(feedback=log.feedback.filter(pa.array(~lost)))
    result = site.run(log, END)
    assert action(result) == ("roll_back", ["bad_release"])
    assert "roll-back" in result.executed
    assert "train" not in result.executed
    release = releases.current(site.releases)
    assert release is not None
    assert (release.version, release.rolled_back) == (good.version, bad)
