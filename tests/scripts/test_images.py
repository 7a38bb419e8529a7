"""``scripts/images``: which torch is collected, and what the build is told; tests/containers shows that it listens."""

import re
import runpy

import pytest

from tests.conftest import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "images"))
DECLARED = dict(re.findall(r"^ARG (\w+)=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


def build_arguments() -> dict[str, str]:
    given = [option.removeprefix("--build-arg=") for option in SCRIPT["options"]("0.1.0") if "--build-arg" in option]
    return dict(argument.split("=", 1) for argument in given)


def test_torch_is_for_the_cpu_unless_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH", raising=False)
    assert "TORCH" not in build_arguments()
    assert DECLARED["TORCH"] == "cpu"


def test_a_choice_of_torch_and_base_reaches_the_build_by_names_that_the_dockerfile_declares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH", "cu130")
    monkeypatch.setenv("PYTHON_IMAGE", "registry.example.org/python:3.11-slim")
    arguments = build_arguments()
    assert arguments.pop("COMMIT")
    assert arguments == {"TORCH": "cu130", "PYTHON_IMAGE": "registry.example.org/python:3.11-slim"}
    assert DECLARED.keys() == {"TORCH", "PYTHON_IMAGE", "COMMIT"}


def test_what_is_collected_is_the_lock_with_that_torch() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    (torch,) = [line for line in lock if line.startswith("torch==")]
    collected = SCRIPT["locked"]("cu130").splitlines()
    assert collected == [f"{line}+cu130" if line == torch else line for line in lock]
