"""Prose shows what the file of accuracy's results holds."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.table import rankers, to_markdown
from benchmarks.results import FOLDER, ROOT, Mean, Results, machine, versions, write

RESULTS = FOLDER / "accuracy.json"
SEEDS = {"test": [0.48, 0.5, 0.49], "validation": [0.3, 0.3, 0.3]}
COLLABORATIVE: dict[str, Any] = {"ours": {"ease": SEEDS, "bpr": SEEDS}, "peers": {"implicit bpr": SEEDS}}
SEQUENCES = {
    "ours": {"ndcg_at_10": Mean(0.06, 0.05, 0.07), "cpu": 100.0, "wall": 101.0},
    "rectools": {"ndcg_at_10": Mean(0.058, 0.05, 0.066), "cpu": 250.0, "wall": 252.0},
    "difference": Mean(0.002, -0.003, 0.007),
}
SCALE = {
    "ease": {"cpu": 39.3},
    "als": [{"cpu": 4.4}, {"cpu": 3.6}],
    "implicit": {"cpu": [4.6, 5.9], "loss": 2.0},
    "loss": 1.5,
    "memory_gib": 2.54,
}


def test_the_table_is_of_the_file(tmp_path: Path) -> None:
    protocol = {part: f"how {part} is measured" for part in ("collaborative", "sequences", "scale")}
    figures = {"collaborative": COLLABORATIVE, "sequences": SEQUENCES, "scale": SCALE}
    begun = machine() | {"hours_of_a_core": 1.25}
    write(Results("python -m benchmarks.accuracy", protocol, {}, begun, versions(), figures, []), tmp_path / "a.json")
    told = to_markdown(tmp_path / "a.json")
    for line in (
        *protocol.values(),
        "| EASE | .4900 [.4800, .5000] |  |  |",
        "| BPR | .4900 [.4800, .5000] | .4900 [.4800, .5000] | .442 |",
        "| RecTools | .0580 [.0500, .0660] | 250 |",
        "| difference, share of the time | .0020 [-.0030, .0070] | 0.40 |",
        "| EASE, fitted | 39 (2.5 GiB) |  |",
        "| ALS, one turn | 3.60 | 4.60 |",
        "| ALS, its loss | 1.5 | 2 |",
    ):
        assert line in told.splitlines()
    assert told.splitlines()[-1].startswith("`python -m benchmarks.accuracy`, 1.25 hours of a core, ")
    assert rankers(COLLABORATIVE) in told


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_both_readmes_show_the_results(page: str) -> None:
    if not RESULTS.exists():
        pytest.skip("no full run of benchmarks.accuracy is published yet")
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for line in to_markdown(RESULTS).splitlines() if line.startswith("|")]
    assert [line for line in lines if line not in text.splitlines()] == []
