"""The benchmark of explanations: it runs, and an explanation that is no better than a guess does not pass it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import explanation
from newsrec.evaluation.explanation import METHODS
from newsrec.evaluation.explanation_judge import REFERENCES, Judged
from tests.conftest import ROOT


@pytest.mark.slow
def test_a_quick_run_judges_every_method_in_both_families(python: Path, tmp_path: Path) -> None:
    out = tmp_path / "explanation.json"
    command = [python, "-m", "benchmarks.explanation", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(out.read_text())
    assert set(read["figures"]["explanation"]) == {"utility", "cascade"}
    for found in read["figures"]["explanation"].values():
        assert 0 < found["judged"] < found["clicks"]
        assert set(found["recall"]) == set(found["fall"]) == {*METHODS, *REFERENCES}
        assert [world["judged"] for world in found["worlds"]] == [found["judged"]]
    assert len({bar["name"] for bar in read["bars"]}) == 24


def test_only_a_difference_that_is_certain_meets_its_bar() -> None:
    """Of 60 readers: the latest on the topic finds what the methods find, chance half of it, recency nothing."""
    half = np.arange(60) % 2 == 0.0
    figures = dict.fromkeys((*METHODS, "latest_on_topic", "content_similarity"), np.ones(60))
    figures |= {"random": half.astype(float), "recency": np.zeros(60)}
    found = explanation._bars(Judged(np.arange(60), np.full(60, 9), figures, figures), "utility")
    met = {bar.name: bar.met for bar in found}
    assert len(met) == 12
    for name, yes in met.items():
        assert yes == ("over latest_on_topic" not in name), name


def test_clicks_of_several_worlds_are_those_of_different_readers() -> None:
    """Readers are numbered anew in each world: the two clicks of reader 4 here are no cluster with the one there."""
    names = (*METHODS, *REFERENCES)
    one = Judged(
        np.array([4, 4, 7]), np.array([9, 8, 7]), dict.fromkeys(names, np.ones(3)), dict.fromkeys(names, np.zeros(3))
    )
    other = Judged(np.array([4]), np.array([6]), dict.fromkeys(names, np.zeros(1)), dict.fromkeys(names, np.ones(1)))
    found = explanation.together([one, other])
    assert found.reader[0] == found.reader[1]
    assert len(set(found.reader.tolist())) == 3
    assert found.reads.tolist() == [9, 8, 7, 6]
    assert all(
        found.recall[name].tolist() == [1, 1, 1, 0] and found.fall[name].tolist() == [0, 0, 0, 1] for name in names
    )
