"""Releases: one pointer, moved only by whoever knows what it points at, and never half."""

import fcntl
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from newsrec import artifact, mixture, releases
from newsrec.artifact import InvalidArtifact
from newsrec.releases import Conflict, current, publish_artifact, record_run, roll_back
from tests.conftest import ROOT
from tests.trained import made


def saved(folder: Path, seed: int, data_until: int = 100) -> Path:
    return artifact.save(made("popularity", seed, data_until=data_until), folder / f"model-{seed}-{data_until}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "releases"


@pytest.fixture
def three(root: Path, tmp_path: Path) -> list[str]:
    """Three versions, published one after the other from ever newer events."""
    versions = [""]
    for seed in (1, 2, 3):
        model = saved(tmp_path, seed, seed * 100)
        versions.append(publish_artifact(root, model, versions[-1], f"run {seed}"))
    return versions[1:]


def mixed(folder: Path, incumbent: Path, candidate: Path, share: float = 0.12) -> Path:
    mixture.write(folder / f"mixture-{share}", incumbent, candidate, share, "front-page")
    return folder / f"mixture-{share}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_nothing_is_served_before_the_first_release(root: Path) -> None:
    assert current(root) is None


def test_a_release_names_what_is_served_and_what_was_before(root: Path, three: list[str]) -> None:
    release = current(root)
    assert release is not None
    assert (release.version, release.previous) == (three[2], three[1])
    assert (release.run, release.data_until, release.rolled_back) == ("run 3", 300, None)
    assert artifact.load(release.directory).version == three[2]
    assert sorted(p.name for p in (root / "versions").iterdir()) == sorted(three)
    pointer = json.loads((root / "CURRENT").read_text())
    assert pointer["version"] == three[2]
    assert pointer["previous"] == three[1]


def test_what_was_published_does_not_change_with_its_source(root: Path, tmp_path: Path) -> None:
    model = saved(tmp_path, 1)
    publish_artifact(root, model, "", "run")
    shutil.rmtree(model)
    release = current(root)
    assert release is not None
    assert artifact.load(release.directory).version == release.version


def test_publishing_what_is_served_changes_nothing(root: Path, three: list[str], tmp_path: Path) -> None:
    before = contents(root)
    for incumbent in (three[1], three[2], "anything"):
        assert publish_artifact(root, saved(tmp_path, 3, 300), incumbent, "run again") == three[2]
    assert contents(root) == before


@pytest.mark.parametrize("incumbent", ["", "somebody else's"])
def test_a_run_that_compared_itself_with_another_release_is_refused(
    incumbent: str, root: Path, three: list[str], tmp_path: Path
) -> None:
    before = contents(root)
    with pytest.raises(Conflict, match=rf"^{three[2]} is served by now, expected {incumbent or 'nothing'}, with which"):
        publish_artifact(root, saved(tmp_path, 4, 400), incumbent, "late run")
    assert contents(root) == before


def test_a_first_release_that_expects_an_incumbent_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=r"^nothing is served by now, expected abc"):
        publish_artifact(root, saved(tmp_path, 1), "abc", "run")
    assert current(root) is None


def test_a_policy_from_older_events_is_refused_and_one_from_the_same_is_not(
    root: Path, three: list[str], tmp_path: Path
) -> None:
    with pytest.raises(Conflict, match=rf"knows events up to 299, the served {three[2]} up to 300"):
        publish_artifact(root, saved(tmp_path, 4, 299), three[2], "old data")
    assert publish_artifact(root, saved(tmp_path, 4, 300), three[2], "same data") != three[2]


def test_a_broken_artefact_is_refused(root: Path, three: list[str], tmp_path: Path) -> None:
    model = saved(tmp_path, 4, 400)
    (model / "weights.safetensors").write_bytes(b"")
    before = contents(root)
    with pytest.raises(InvalidArtifact, match="corrupted"):
        publish_artifact(root, model, three[2], "run")
    assert contents(root) == before


@pytest.mark.parametrize("share", [0.12, 0.5])
def test_a_mixture_is_released_like_an_artefact(share: float, root: Path, three: list[str], tmp_path: Path) -> None:
    """Compared are its two policies meanwhile, the candidate and the incumbent's afterwards."""
    third, fourth = root / "versions" / three[2], saved(tmp_path, 4, 400)
    candidate = artifact.load(fourth).version
    version = publish_artifact(root, mixed(tmp_path, third, fourth, share), three[2], "mixes")
    release = current(root)
    assert release is not None
    assert (release.version, release.previous, release.data_until) == (version, three[2], 400)
    loaded = releases.load(release.directory)
    assert isinstance(loaded, mixture.Mixture)
    assert (loaded.version, loaded.share) == (version, share)
    assert artifact.load(release.control).version == three[2]
    assert release.compared == (candidate, three[2])
    assert publish_artifact(root, fourth, version, "ships") == candidate
    after = current(root)
    assert after is not None
    assert (after.previous, after.control, after.compared) == (version, after.directory, (candidate, three[2]))
    assert roll_back(root).version == version
    assert roll_back(root, version).version == three[2]
    end = current(root)
    assert end is not None
    assert (end.control, end.compared) == (third, (three[2], three[1]))
    with pytest.raises(Conflict, match=rf"{version} was rolled back to {three[2]}"):
        publish_artifact(root, mixed(tmp_path, third, fourth, share), three[2], "mixes again")


def test_a_mixture_follows_a_mixture_with_a_greater_share(root: Path, three: list[str], tmp_path: Path) -> None:
    third, fourth = root / "versions" / three[2], saved(tmp_path, 4, 400)
    small = publish_artifact(root, mixed(tmp_path, third, fourth, 0.1), three[2], "first")
    release = current(root)
    assert release is not None
    great = publish_artifact(root, mixed(tmp_path, release.control, fourth, 0.3), small, "second")
    grown = current(root)
    assert grown is not None
    assert (grown.version, grown.previous, grown.compared) == (great, small, release.compared)


def test_an_old_policy_that_is_served_alone_again_is_compared_with_what_was_mixed_in(
    root: Path, three: list[str], tmp_path: Path
) -> None:
    third, fourth = root / "versions" / three[2], saved(tmp_path, 4, 300)
    version = publish_artifact(root, mixed(tmp_path, third, fourth), three[2], "mixes")
    publish_artifact(root, third, version, "back")
    release = current(root)
    assert release is not None
    assert release.compared == (three[2], artifact.load(fourth).version)


@pytest.mark.parametrize("damage", ["mixture.json", "candidate/weights.safetensors", "incumbent/policy.json"])
def test_a_broken_mixture_is_refused(damage: str, root: Path, three: list[str], tmp_path: Path) -> None:
    mix = mixed(tmp_path, root / "versions" / three[2], saved(tmp_path, 4, 400))
    content = (mix / damage).read_bytes()
    (mix / damage).write_bytes(content[: len(content) // 2])
    before = contents(root)
    with pytest.raises(InvalidArtifact, match=f"{damage} is "):
        publish_artifact(root, mix, three[2], "run")
    assert contents(root) == before


def test_a_candidate_from_older_events_is_not_mixed_in(root: Path, three: list[str], tmp_path: Path) -> None:
    mix = mixed(tmp_path, root / "versions" / three[2], saved(tmp_path, 4, 299))
    with pytest.raises(Conflict, match=rf"knows events up to 299, the served {three[2]} up to 300"):
        publish_artifact(root, mix, three[2], "old data")


def test_rolls_back_release_by_release(root: Path, three: list[str]) -> None:
    first = roll_back(root)
    assert first == current(root)
    assert (first.version, first.previous, first.rolled_back) == (three[1], three[0], three[2])
    assert first.data_until == 200
    second = roll_back(root)
    assert (second.version, second.previous, second.rolled_back) == (three[0], None, three[1])
    with pytest.raises(Conflict, match="no release before the current one"):
        roll_back(root)
    assert current(root) == second


def test_a_repeated_run_does_not_bring_back_what_was_rolled_back(root: Path, three: list[str], tmp_path: Path) -> None:
    roll_back(root)
    with pytest.raises(Conflict, match=rf"{three[2]} was rolled back to {three[1]}"):
        publish_artifact(root, saved(tmp_path, 3, 300), three[1], "run 3")
    fourth = publish_artifact(root, saved(tmp_path, 4, 250), three[1], "run 4")
    release = current(root)
    assert release is not None
    assert (release.version, release.previous, release.rolled_back) == (fourth, three[1], None)


def test_what_is_expected_is_rolled_back_and_only_once(root: Path, three: list[str]) -> None:
    assert roll_back(root, three[2]).version == three[1]
    before = contents(root)
    assert roll_back(root, three[2]) == current(root)
    assert contents(root) == before
    assert roll_back(root, three[1]).version == three[0]


@pytest.mark.parametrize("expected", [0, 1])
def test_a_roll_back_of_what_is_not_served_is_refused(expected: int, root: Path, three: list[str]) -> None:
    before = contents(root)
    with pytest.raises(Conflict, match=rf"^{three[2]} is served by now, expected {three[expected]}"):
        roll_back(root, three[expected])
    assert contents(root) == before


def test_a_roll_back_before_a_release_says_that_nothing_is_served(root: Path) -> None:
    with pytest.raises(Conflict, match=r"^nothing is served by now, expected abc"):
        roll_back(root, "abc")


def test_there_is_nothing_to_roll_back_before_a_release(root: Path) -> None:
    with pytest.raises(Conflict, match="no release before the current one"):
        roll_back(root)


class PowerCut(BaseException):
    """Ends a publisher between two of its steps."""


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("step", range(3))
def test_whatever_is_interrupted_leaves_the_old_release_and_can_be_repeated(
    step: int, mixes: bool, root: Path, three: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps: the copy of the artefact or mixture, the record of the release, the pointer."""
    before, model, calls = current(root), saved(tmp_path, 4, 400), []
    model = mixed(tmp_path, root / "versions" / three[2], model) if mixes else model
    copytree, write_whole = shutil.copytree, releases.write_whole

    def cut(proceed, *arguments, **options):
        calls.append(arguments)
        if len(calls) == step + 1:
            raise PowerCut
        return proceed(*arguments, **options)

    monkeypatch.setattr(releases.shutil, "copytree", lambda *a, **o: cut(copytree, *a, **o))
    monkeypatch.setattr(releases, "write_whole", lambda *a, **o: cut(write_whole, *a, **o))
    with pytest.raises(PowerCut):
        publish_artifact(root, model, three[2], "run 4")
    monkeypatch.undo()
    assert current(root) == before
    assert before is not None
    assert artifact.load(before.directory).version == three[2]
    fourth = publish_artifact(root, model, three[2], "run 4")
    release = current(root)
    assert release is not None
    assert releases.load(release.directory).version == fourth == release.version


PUBLISH = """
import json, sys
from pathlib import Path
from newsrec.releases import Conflict, publish_artifact
root, model, incumbent = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    print(json.dumps([publish_artifact(Path(root), Path(model), incumbent, "at once"), None]))
except Conflict as refused:
    print(json.dumps([None, str(refused)]))
"""


def test_of_two_processes_that_publish_at_once_exactly_one_wins(
    root: Path, three: list[str], python: Path, tmp_path: Path
) -> None:
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    models = [saved(tmp_path, seed, 400) for seed in (4, 5)]
    processes = [subprocess.Popen([python, "-c", PUBLISH, root, m, three[2]], **streams) for m in models]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    (winner,) = [version for version, _ in found if version]
    (refusal,) = [refused for _, refused in found if refused]
    release = current(root)
    assert release is not None
    assert (release.version, release.previous) == (winner, three[2])
    assert refusal.startswith(f"{winner} is served by now, expected {three[2]}")


def test_a_publisher_waits_for_the_lock_and_then_sees_what_was_published_meanwhile(
    root: Path, three: list[str], tmp_path: Path
) -> None:
    model, refused = saved(tmp_path, 4, 400), []

    def publish() -> None:
        try:
            publish_artifact(root, model, three[2], "waits")
        except Conflict as conflict:
            refused.append(str(conflict))

    waiting = threading.Thread(target=publish)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(1.0)  # without the lock it would be through
        shutil.copy(root / "published" / f"{three[1]}.json", root / "CURRENT")
    waiting.join(60)
    assert [sentence.partition(",")[0] for sentence in refused] == [f"{three[1]} is served by now"]


def test_readers_see_a_whole_pointer_while_it_moves(root: Path, three: list[str], tmp_path: Path) -> None:
    models = [saved(tmp_path, seed, 400) for seed in (4, 5)]
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            release = current(root)
            seen.add(release.version if release else None)

    reader = threading.Thread(target=read)
    reader.start()
    version = three[2]
    published = [version := publish_artifact(root, models[i % 2], version, "run") for i in range(20)]
    done.set()
    reader.join()
    assert seen <= {three[2], *published}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "a"}', '{"version": "a", "surprise": 1}'])
def test_a_broken_pointer_is_said_in_one_sentence(text: str, root: Path) -> None:
    root.mkdir()
    (root / "CURRENT").write_text(text)
    with pytest.raises(InvalidArtifact, match="CURRENT holds no release: ") as refused:
        current(root)
    assert "\n" not in str(refused.value)


def test_runs_are_recorded_in_order_with_what_was_served_after_each(root: Path, tmp_path: Path) -> None:
    record_run(root, "first", "FAILED", "train: out of memory\nat line 3")
    version = publish_artifact(root, saved(tmp_path, 1), "", "second")
    record_run(root, "second", "SUCCEEDED", "")
    lines = [json.loads(line) for line in (root / "runs.jsonl").read_text().splitlines()]
    assert lines == [
        {"run": "first", "state": "FAILED", "error": "train: out of memory\nat line 3", "served": None},
        {"run": "second", "state": "SUCCEEDED", "error": "", "served": version},
    ]
