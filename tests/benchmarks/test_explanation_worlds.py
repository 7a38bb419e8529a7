"""Worlds of the benchmark of explanations are done once, whatever stops it, and the page shows what it found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import explanation
from benchmarks.results import FOLDER, to_markdown
from newsrec.evaluation.explanation import METHODS
from newsrec.evaluation.explanation_judge import REFERENCES, Judged
from newsrec.simulator.config import SimulationConfig
from tests.conftest import ROOT


def test_a_world_that_is_done_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def world(size: explanation.Size, config: SimulationConfig) -> explanation.World:
        made.append((config.seed, config.response_family))
        figures = dict.fromkeys((*METHODS, *REFERENCES), np.array([1 / 3, config.seed, 0.0]))
        return explanation.World(7, Judged(np.array([4, 4, 7]), np.array([9, 8, 7]), figures, figures))

    monkeypatch.setattr(explanation, "judged_world", world)
    size = replace(explanation.FULL, worlds=2)
    found = [explanation.measure(size, folder) for folder in (None, tmp_path, tmp_path)]
    assert made[:4] == [(41, "utility"), (42, "cascade"), (43, "utility"), (44, "cascade")]
    assert len(made) == 8, "the third run makes none"
    assert found[0] == found[1] == found[2]
    assert found[0].figures["explanation"]["cascade"]["worlds"][1]["recall"]["rollout"] == pytest.approx(133 / 9)
    explanation.measure(replace(size, readers=601), tmp_path)
    assert len(made) == 12, "worlds of another size are others"


def test_the_page_of_explanations_shows_the_results_of_their_benchmark() -> None:
    assert to_markdown(FOLDER / "explanation.json") in (ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
