"""``scripts/images``: which torch and title encoder it takes, and what the build is told; tests/containers builds."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from newsrec.features import encoder_folder
from tests.conftest import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "images"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DECLARED = dict(re.findall(r"^ARG (\w+)=(.*)$", DOCKERFILE, re.MULTILINE))


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
    assert DECLARED.keys() == {"TORCH", "PYTHON_IMAGE", "COMMIT", "ENCODER"}


def test_a_sites_title_encoder_is_in_both_images_and_their_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One variable where images are built; no manifest and no task needs to know."""
    take, built = SCRIPT["take_encoder"], tmp_path / "build" / "encoder"
    monkeypatch.setitem(take.__globals__, "ENCODER", built)
    student = tmp_path / "student"
    student.mkdir()
    (student / "encoder.json").write_text('{"version": "student-1"}')
    monkeypatch.setenv("NEWSREC_ENCODER", str(student))
    take(str(student))
    assert [path.name for path in built.iterdir()] == ["encoder.json"]
    monkeypatch.setenv("NEWSREC_ENCODER", build_arguments()["ENCODER"])
    assert encoder_folder() == "/app/encoder"
    for stage in DOCKERFILE.split("\nFROM ")[-len(SCRIPT["TARGETS"]) :]:
        assert "COPY build/encoder /app/encoder\n" in stage
        assert "ENV NEWSREC_ENCODER=${ENCODER}" in stage
    assert "!build/encoder" in (ROOT / ".dockerignore").read_text().split()
    monkeypatch.delenv("NEWSREC_ENCODER")
    take("")
    assert list(built.iterdir()) == []
    assert "ENCODER" not in build_arguments()
    assert DECLARED["ENCODER"] == ""
    with pytest.raises(SystemExit, match="expected the folder of a student"):
        take(str(tmp_path))


@pytest.mark.parametrize("extra", ["pipelines", "serving"])
def test_each_image_can_run_it(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "onnxruntime" in SCRIPT["lists"](project)[extra]


def test_what_is_collected_is_the_lock_with_that_torch() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    (torch,) = [line for line in lock if line.startswith("torch==")]
    collected = SCRIPT["locked"]("cu130").splitlines()
    assert collected == [f"{line}+cu130" if line == torch else line for line in lock]
