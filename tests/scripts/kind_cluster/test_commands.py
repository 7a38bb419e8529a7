"""What a failing command and a long wait say."""

import io
import itertools

import pytest
from rich.console import Console

from scripts.kind_cluster.commands import Cluster, Failed, StepFailed, run, runs, step, wait_until
from tests.scripts.kind_cluster.conftest import Machine


def workload(replicas: int | None, **status: int) -> dict:
    return {"metadata": {"generation": 3}, "spec": {} if replicas is None else {"replicas": replicas}, "status": status}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.kind_cluster.commands.PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (workload(2, observedGeneration=3, updatedReplicas=2, availableReplicas=2), True),
        (workload(None, observedGeneration=3, updatedReplicas=1, availableReplicas=1), True),
        (workload(0, observedGeneration=3), True),
        (workload(2, observedGeneration=3, updatedReplicas=2, availableReplicas=1), False),
        (workload(2, observedGeneration=3, updatedReplicas=1, availableReplicas=2), False),
        (workload(1, observedGeneration=2, updatedReplicas=1, availableReplicas=1), False),
        (workload(1), False),
    ],
)
def test_a_workload_runs_when_all_its_pods_are_new_and_available(thing: dict, expected: bool) -> None:
    assert runs(thing) is expected


def test_a_command_that_fails_shows_itself_and_its_last_lines() -> None:
    with pytest.raises(Failed) as failed:
        run(["sh", "-c", "seq 20; echo 'no way' >&2; exit 3"])
    lines = str(failed.value).splitlines()
    assert lines[0] == """$ sh -c 'seq 20; echo '"'"'no way'"'"' >&2; exit 3'"""
    assert [line.strip() for line in lines[1:]] == [*map(str, range(10, 21)), "no way"]


def test_a_wait_says_what_for() -> None:
    said: list[str] = []
    answers = iter([{"mysql", "minio"}, {"mysql"}, set()])
    wait_until(lambda: next(answers), lambda: "mysql-0: ErrImagePull", said.append, seconds=60)
    assert said == [f"waiting for {names} (mysql-0: ErrImagePull)" for names in ("minio, mysql", "mysql")]


def test_a_wait_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=50)
    monkeypatch.setattr("scripts.kind_cluster.commands.time.monotonic", lambda: next(clock))
    with pytest.raises(Failed, match="mysql not ready after 2 minutes; mysql-0: ErrImagePull"):
        wait_until(lambda: {"mysql"}, lambda: "mysql-0: ErrImagePull", str, seconds=120)


def test_troubles_are_those_of_pods_that_do_not_start(running: Machine) -> None:
    def pod(name: str, status: dict) -> dict:
        return {"kind": "Pod", "metadata": {"name": name, "namespace": "newsrec"}, "status": status}

    def waiting(reason: str) -> dict:
        return {"state": {"waiting": {"reason": reason}}}

    unschedulable = {"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory."}
    pods = [
        pod("redis-0", {"conditions": [unschedulable]}),
        pod(
            "collector-x",
            {"containerStatuses": [waiting("PodInitializing")], "initContainerStatuses": [waiting("ErrImagePull")]},
        ),
        pod("postgres-0", {"containerStatuses": [{"state": {"running": {}}}]}),
    ]
    running.write("objects.json", {f"newsrec/Pod/{p['metadata']['name']}": p for p in pods})
    expected = "collector-x: ErrImagePull, redis-0: 0/1 nodes are available: 1 Insufficient memory."
    assert Cluster("kind", "newsrec").troubles("newsrec") == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Failed("no [memory]"), "Title: not done\nno [memory]\nTo do: the step's advice"),
        (Failed("no [memory]", "the error's own"), "Title: not done\nno [memory]\nTo do: the error's own"),
    ],
)
def test_a_step_says_what_to_do(error: Failed, expected: str) -> None:
    with pytest.raises(StepFailed) as failed, step(Console(file=io.StringIO()), "Title", "the step's advice"):
        raise error
    assert str(failed.value) == expected


def test_a_step_that_is_done_is_a_line() -> None:
    output = io.StringIO()
    with step(Console(file=output), "Title [1]") as say:
        say("waiting for [all]")
    assert output.getvalue() == "✓ Title [1]  0 s\n"
