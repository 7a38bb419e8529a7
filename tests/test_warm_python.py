"""Programs of the warm Python behave as those of Python itself do."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = """
import os, sys, time
print(os.getcwd(), sys.argv[1:], os.environ["GREETING"], time.tzname[0], sys.stdin.read())
print("warm" if "feast" in sys.modules else "cold", sorted({"newsrec", "feature_repo", "tests"} & sys.modules.keys()))
print("said", file=sys.stderr)
import newsrec.assignment
sys.exit(int(sys.argv[1]))
"""


def test_a_program_has_its_callers_folder_environment_and_streams_and_our_modules_are_not_imported(
    python: Path, tmp_path: Path
) -> None:
    environment = {"GREETING": "hello", "TZ": "Asia/Seoul", "PYTHONPATH": str(ROOT)}
    more = {"cwd": tmp_path, "env": environment, "input": "asked", "capture_output": True, "text": True}
    found, cold = (
        subprocess.run([program, "-c", PROGRAM, "3", "b"], check=False, **more) for program in (python, sys.executable)
    )
    assert found.stdout == f"{tmp_path} ['3', 'b'] hello KST asked\nwarm []\n"
    assert cold.stdout == found.stdout.replace("warm", "cold")
    assert (found.stderr, found.returncode) == (cold.stderr, cold.returncode) == ("said\n", 3)


def test_a_module_runs_from_the_callers_folder_and_an_error_ends_with_code_one(python: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import sys\nassert __name__ == '__main__'\nprint(sys.argv[1])\nraise KeyError('x')"
    )
    ended = subprocess.run([python, "-m", "own", "told"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("told\n", 1)
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("KeyError: 'x'\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_does_not_survive_its_command(python: Path, number: signal.Signals) -> None:
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(300)"
    with subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        program = Path("/proc", command.stdout.readline().strip())
        assert program.exists()
        command.send_signal(number)
        assert command.wait() == -number
        for _ in range(400):
            if not program.exists():
                return
            time.sleep(0.05)
    raise AssertionError("it lives 20 s after its command")
