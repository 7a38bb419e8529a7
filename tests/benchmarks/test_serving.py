"""The benchmark of serving: its command, its processes, and designs that really answer the same, or are found out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.serving import processes
from benchmarks.serving.designs import agree
from benchmarks.serving.peers import repository
from benchmarks.serving.processes import Command, Generator, ServerFailed, free_port, running
from benchmarks.serving.stage import DESIGNS, body, staged
from benchmarks.serving.void import Void
from tests.conftest import ROOT

MODULE = "benchmarks.serving.peers"


def constant(port: int) -> Command:
    return Command("constant", [sys.executable, "-m", f"{MODULE}.constant", str(port)], port)


def test_a_quick_part_runs_and_is_written(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "serving.json"
    command = [python, "-m", "benchmarks.serving", "--quick", "--only", "client", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    assert set(read["figures"]["client"]) == {"c=1", "c=8"}
    assert all(of["cpu_microseconds"] > 0 and not of["errors"] for of in read["figures"]["client"].values())


def test_a_void_run_says_why_and_writes_nothing(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "serving.json"
    code = (
        "import sys; from benchmarks.serving import __main__ as run, client; from benchmarks.serving.void import Void\n"
        "def measure(size): raise Void('smart: status 503')\n"
        "client.measure = measure\n"
        "run.typer.run(run.main)"
    )
    command = [python, "-c", code, "--quick", "--only", "client", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "void: smart: status 503" in done.stderr
    assert not out.exists()


def test_a_part_that_is_done_is_not_measured_again(python: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    folder = ["--quick", "--only", "client", "--folder", str(tmp_path / "kept"), "--out"]
    code = (
        "from benchmarks.results import Bar, Part; from benchmarks.serving import __main__ as run, client\n"
        "client.measure = lambda size: {}\n"
        "run.typer.run(run.main)"
    )
    found = "Part({'client': {'seen': (1, 2)}}, [Bar('a', 0.5, (None, 1.0), '1 or more', False)])"
    for once, out in ((found, first), ("1 / 0", second)):
        command = [python, "-c", code.format(once), *folder, str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    before, after = (json.loads(path.read_text()) for path in (first, second))
    assert before["bars"] == [{"name": "a", "value": 0.5, "interval": [None, 1.0], "bar": "1 or more", "met": False}]
    assert before["figures"] == {"client": {"seen": [1, 2]}}
    assert [after[what] for what in ("bars", "figures")] == [before[what] for what in ("bars", "figures")]
    assert after["machine"]["commits"] == before["machine"]["commits"] != ""


def test_servers_are_pinned_counted_and_gone_at_the_end(tmp_path: Path) -> None:
    port, core = free_port(), processes.cores()[1]
    with running([constant(port)], tmp_path) as servers, Generator(core) as generator:
        server = servers["constant"]
        server.pin(core)
        assert os.sched_getaffinity(server.process.pid) == {core}
        before = server.cpu_seconds()
        outcome = generator.drive(processes.Plan(port, "/", ["{}"], 2, 0.5))
        assert outcome.requests > 0
        assert server.cpu_seconds() > before
        assert server.resident_bytes() > 2**20
        pids = server.pids()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_server_that_does_not_start_is_quoted_and_the_others_end(tmp_path: Path) -> None:
    broken = Command("broken", [sys.executable, "-c", "raise SystemExit('no such model')"], free_port())
    with pytest.raises(ServerFailed, match="no such model"), running([constant(free_port()), broken], tmp_path):
        pass
    assert "constant" not in _children_of(os.getpid())


def test_servers_end_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys, time; from pathlib import Path\n"
        "from benchmarks.serving.processes import Command, running\n"
        f"command = Command('constant', [sys.executable, '-m', '{MODULE}.constant', '{port}'], {port})\n"
        f"with running([command], Path({str(tmp_path)!r})) as servers:\n"
        "    print(servers['constant'].process.pid, flush=True); time.sleep(600)"
    )
    for by in (signal.SIGKILL, signal.SIGINT):
        benchmark = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert benchmark.stdout
        server = int(benchmark.stdout.readline())
        benchmark.send_signal(by)
        benchmark.wait(30)
        end = time.monotonic() + 30
        while Path(f"/proc/{server}").exists():
            assert time.monotonic() < end, f"the server outlived a benchmark that was ended by {by.name}"
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_designs_answer_the_same_and_a_peer_with_other_features_is_found_out(tmp_path: Path) -> None:
    names = [name for name, design in DESIGNS.items() if design.scores]
    with staged(tmp_path / "site", "sqlite", time.time_ns() // 1_000, names) as stage:
        assert agree(stage) == names == ["newsrec", "published", "tuned", "smart"]
        wrong = stage.site.candidates[7]
        feast = repository.FeatureStore(repo_path=str(stage.site.folder / "peers"))
        with stage.site.opened() as store:
            (row,) = store.articles([wrong])
        del row["event_timestamp"]
        repository.write(feast, {}, {wrong: {**row, "clicks_day": row["clicks_day"] + 3.0}})
        with pytest.raises(Void, match=f"published gives {wrong}"):
            agree(stage)
        with pytest.raises(Void, match=r"answers 4\d\d"):
            stage.ask("newsrec", body("", k=10))


def _children_of(pid: int) -> str:
    found = [Path(f"/proc/{child}/cmdline") for child in processes._children(pid)]
    return " ".join(path.read_text() for path in found if path.exists())
