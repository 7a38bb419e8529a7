"""A predictor that answers while what it serves changes: releases, broken ones, shares, and the kill switch."""

import asyncio
import gc
import subprocess
import weakref
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY as METRICS

from newsrec import artifact, mixture, releases, stopped_experiments
from serving import reload as module
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.reload import Follower
from serving.slate_log import SlateLog
from tests.conftest import ROOT
from tests.serving.conftest import Site, clock, serving, start, wait_for
from tests.serving.test_ends import Load
from tests.serving.test_mixture import EXPERIMENT, READERS, SHARE, ask, other_policy
from tests.serving.test_start import one_line, relabelled, run


@pytest.fixture(scope="module")
def other(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another artefact than the site's."""
    return artifact.save(other_policy(site), tmp_path_factory.mktemp("other") / "artifact")


@pytest.fixture
def root(site: Site, tmp_path: Path) -> Path:
    """A releases folder with the site's artefact."""
    releases.publish_artifact(tmp_path / "releases", site.folder / "artifact", "", "run 1")
    return tmp_path / "releases"


@pytest.fixture
def server(root: Path, backends: Backends) -> Predictor:
    """Serves the current release."""
    release = releases.current(root)
    assert release
    bundle = make_bundle(releases.load(release.directory), backends, ServingConfig())
    slate_log = SlateLog(backends.database, clock, every_seconds=0.005)
    return Predictor("newsrec", bundle, backends, ServingConfig(), slate_log)


@pytest.fixture
def follower(root: Path, backends: Backends, server: Predictor) -> Follower:
    def make(released: Any) -> Any:
        return make_bundle(released, backends, ServingConfig())

    return Follower(server, backends.database, backends.store, make, root)


def publish(root: Path, directory: Path) -> str:
    served = releases.current(root)
    assert served
    return releases.publish_artifact(root, directory, served.version, "the next run")


def mixed(site: Site, other: Path, folder: Path, share: float = SHARE) -> Path:
    mixture.write(folder, site.folder / "artifact", other, share, EXPERIMENT)
    return folder


def reloads(outcome: str) -> float:
    return METRICS.get_sample_value("newsrec_reloads_total", {"outcome": outcome}) or 0.0


def served_versions(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["policy_version"] for answer in answers]


def test_a_new_release_is_served_without_a_request_that_fails(
    server: Predictor, follower: Follower, root: Path, other: Path
) -> None:
    before = server.bundle.released.version

    async def client(number: int, ended: asyncio.Event, seen: list[str]) -> None:
        while not ended.is_set():
            answer = await server.predict({"instances": [{"user_id": f"r{number}", "k": 3}]})
            seen.append(answer["predictions"][0]["policy_version"])

    async def swap() -> list[list[str]]:
        ended, seen = asyncio.Event(), [[] for _ in range(4)]  # type: ignore[var-annotated]
        clients = [asyncio.create_task(client(number, ended, mine)) for number, mine in enumerate(seen)]
        while not all(seen):
            await asyncio.sleep(0.001)
        publish(root, other)
        await asyncio.to_thread(follower.look)
        counts = [len(mine) for mine in seen]
        while any(len(mine) < count + 3 for mine, count in zip(seen, counts, strict=True)):
            await asyncio.sleep(0.001)
        ended.set()
        await asyncio.gather(*clients)
        return seen

    adopted = reloads("adopted")
    after = artifact.load(other).version
    for mine in asyncio.run(swap()):
        assert (mine[0], mine[-1]) == (before, after)
        assert mine == sorted(mine, key=[before, after].index)  # the version changes once
    assert reloads("adopted") == adopted + 1
    assert METRICS.get_sample_value("newsrec_release", {"version": after}) == 1
    assert METRICS.get_sample_value("newsrec_release", {"version": before}) == 0
    follower.look()
    assert reloads("adopted") == adopted + 1


def test_the_old_release_is_not_kept_in_memory(server: Predictor, follower: Follower, root: Path, other: Path) -> None:
    old = weakref.ref(server.bundle.live)
    publish(root, other)
    gc.disable()
    try:
        follower.look()
        assert old() is None
    finally:
        gc.enable()


def test_another_share_of_a_mixture_is_a_release(
    server: Predictor, follower: Follower, root: Path, other: Path, site: Site, tmp_path: Path
) -> None:
    for share in (SHARE, 0.9):
        publish(root, mixed(site, other, tmp_path / "mix", share))
        follower.look()
        loaded = mixture.load(tmp_path / "mix")
        expected = [loaded.artifact(loaded.arm(reader)).version for reader in READERS]
        assert served_versions(ask(server, READERS)) == expected


def test_several_policies_serve_side_by_side(
    server: Predictor, follower: Follower, root: Path, other: Path, site: Site, backends: Backends, tmp_path: Path
) -> None:
    further = {"third": (other, 0.3)}
    mixture.write(tmp_path / "mix", site.folder / "artifact", other, 0.3, EXPERIMENT, further=further)
    publish(root, tmp_path / "mix")
    follower.look()
    loaded = mixture.load(tmp_path / "mix")
    answers = ask(server, READERS)
    assert served_versions(answers) == [loaded.artifact(loaded.arm(reader)).version for reader in READERS]
    arms = {row["request_id"]: row["arm"] for row in backends.database.export().recommendations.to_pylist()}
    assert [arms[answer["request_id"]] for answer in answers] == [loaded.arm(reader) for reader in READERS]
    assert set(arms.values()) == {"incumbent", "candidate", "third"}
    assert "for 30.0% of the readers, transformer" in str(server.bundle.arms)


def spoil(root: Path, version: str) -> None:
    weights = root / "versions" / version / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")


def test_a_broken_release_is_refused_and_the_old_one_goes_on(
    server: Predictor,
    follower: Follower,
    root: Path,
    other: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, refused = server.bundle.released.version, reloads("refused")
    version = publish(root, other)
    whole = (root / "versions" / version / "weights.safetensors").read_bytes()
    spoil(root, version)
    for _ in range(3):
        follower.look()
    assert served_versions(ask(server, ["ann"])) == [before]
    assert reloads("refused") == refused + 1
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith(f"release {version} is refused, {before} goes on: ")
    assert "weights.safetensors" in said
    (root / "versions" / version / "weights.safetensors").write_bytes(whole)
    follower.look()
    assert server.bundle.released.version == before  # not looked at again so soon
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e9)
    follower.look()
    assert served_versions(ask(server, ["ann"])) == [version]


def test_a_release_of_other_features_is_refused_and_one_after_it_served(
    server: Predictor, follower: Follower, root: Path, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = server.bundle.released.version
    publish(root, relabelled(other, tmp_path / "relabelled"))
    follower.look()
    assert server.bundle.released.version == before
    assert "the artefact expects 0123456789abcdef" in caplog.text
    version = publish(root, other)
    follower.look()
    assert served_versions(ask(server, ["ann"])) == [version]


def test_a_policy_that_cannot_make_a_slate_is_refused(
    server: Predictor, follower: Follower, root: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, refused = server.bundle.released.version, reloads("refused")

    def broken(released: Any) -> Any:
        raise RuntimeError("no slate")

    publish(root, other)
    monkeypatch.setattr(follower, "_make", broken)
    follower.look()
    assert (server.bundle.released.version, reloads("refused")) == (before, refused + 1)


PUBLISHER = """
import os, shutil, sys, time
from newsrec import releases
def stuck(work):
    def then_wait(*arguments, **named):
        if sys.argv[3] == "copytree":
            work(*arguments, **named)
        print("there", flush=True)
        time.sleep(600)
    return then_wait
served = releases.current(sys.argv[1])
if sys.argv[3] == "copytree":
    shutil.copytree = stuck(shutil.copytree)
else:
    os.replace = stuck(os.replace)
releases.publish_artifact(sys.argv[1], sys.argv[2], served.version, "killed")
"""


@pytest.mark.parametrize("step", ["copytree", "replace"])
def test_a_publisher_that_is_killed_changes_nothing_and_the_next_one_succeeds(
    step: str, server: Predictor, follower: Follower, root: Path, other: Path, python: Path
) -> None:
    before, refused = server.bundle.released.version, reloads("refused")
    command = [python, "-c", PUBLISHER, str(root), str(other), step]
    publisher = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert publisher.stdout
    with publisher.stdout:
        assert publisher.stdout.readline() == "there\n"
        follower.look()
        publisher.kill()
        publisher.wait()
    follower.look()
    assert (server.bundle.released.version, reloads("refused")) == (before, refused)
    version = publish(root, other)
    follower.look()
    assert server.bundle.released.version == version


def test_a_stopped_experiment_gives_everybody_the_incumbent_and_can_be_resumed(
    server: Predictor, follower: Follower, root: Path, other: Path, site: Site, backends: Backends, tmp_path: Path
) -> None:
    publish(root, mixed(site, other, tmp_path / "mix"))
    follower.look()
    running = served_versions(ask(server, READERS))
    assert len(set(running)) == 2
    switch = [str(root), f"--event-log={backends.database.engine.url}"]
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "stop-experiment", *switch) == 0
        follower.look()
        answers = ask(server, READERS)
        assert set(served_versions(answers)) == {server.bundle.released.incumbent.version}  # type: ignore[union-attr]
        rows = {row["request_id"]: row for row in backends.database.export().recommendations.to_pylist()}
        stopped = [rows[answer["request_id"]] for answer in answers]
        assert {(row["experiment"], row["arm"]) for row in stopped} == {(EXPERIMENT, None)}
        assert METRICS.get_sample_value("newsrec_experiment_stopped", {"experiment": EXPERIMENT}) == 1
        publish(root, mixed(site, other, tmp_path / "mix", 0.5))
        follower.look()
        assert len(set(served_versions(ask(server, READERS)))) == 1  # a new share does not start it again
        releases.roll_back(root)
        assert run(patch, "resume-experiment", *switch) == 0
    follower.look()
    assert served_versions(ask(server, READERS)) == running
    assert METRICS.get_sample_value("newsrec_experiment_stopped", {"experiment": EXPERIMENT}) == 0


def test_a_stopped_experiment_stays_so_while_the_switch_cannot_be_read(
    server: Predictor,
    follower: Follower,
    root: Path,
    other: Path,
    site: Site,
    backends: Backends,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(root, mixed(site, other, tmp_path / "mix"))
    stopped_experiments.stop(backends.database.engine, EXPERIMENT, clock())
    follower.look()  # stopped from its first request on
    with backends.database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE settings RENAME TO away"))
    caplog.clear()
    for _ in range(3):
        follower.look()
    assert [record.getMessage() for record in caplog.records] == [
        "whether the experiment is stopped cannot be read, it stays as it is: no such table: settings"
    ]
    assert server.bundle.arms.stopped
    with backends.database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO settings"))
    assert stopped_experiments.resume(backends.database.engine, EXPERIMENT)
    follower.look()
    assert not server.bundle.arms.stopped


def test_the_switch_says_what_it_did_or_why_not(
    root: Path, other: Path, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    log = f"--event-log=sqlite:///{tmp_path / 'e.db'}"
    assert run(monkeypatch, "stop-experiment", str(root), log) == 2
    assert "expected the folder of a mixture" in one_line(capfd)
    mix = mixed(site, other, tmp_path / "mix")
    said = []
    for command in ("stop", "stop", "resume", "resume"):
        assert run(monkeypatch, f"{command}-experiment", str(mix), log) == 0
        said.append(capfd.readouterr().out.strip())
    assert said == [
        f"experiment {EXPERIMENT} {words}" for words in ("is stopped", "was stopped", "is running", "was running")
    ]


@pytest.mark.usefixtures("warm")
def test_over_http_releases_and_the_switch_are_followed_under_load(
    root: Path, other: Path, site: Site, tmp_path: Path
) -> None:
    log = f"--event-log=sqlite:///{tmp_path / 'events.db'}"
    process = start(tmp_path, "predictor", f"--artifact={root}", f"--store={site.store}", log)
    with serving(process):
        load = Load(process)
        load.until(20)
        version = publish(root, mixed(site, other, tmp_path / "mix"))
        wait_for(lambda: f'newsrec_release{{version="{version}"}} 1.0' in process.http.get("/metrics").text)
        with pytest.MonkeyPatch.context() as patch:
            assert run(patch, "stop-experiment", str(root), log) == 0
        stopped = f'newsrec_experiment_stopped{{experiment="{EXPERIMENT}"}} 1.0'
        wait_for(lambda: stopped in process.http.get("/metrics").text)
        load.until(len(load.answered) + 20)
        assert load.failed == []
        process.process.terminate()
        load.join()
    assert {answer.status for answer in load.answered} == {200}
    assert "Traceback" not in process.log.read_text()
