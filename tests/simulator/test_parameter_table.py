"""The table of parameters says of each what it is, and whether a log told it."""

from newsrec import config as configs
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.parameter_table import to_markdown
from newsrec.simulator.parameters import parameters

BAND = {"value": 0.7, "low": 0.5, "high": 0.8, "confidence": 0.95}
TOLD = {"parameter": "population.patience", **BAND, "readers": 1_400, "log": "events:log"}


def test_what_a_log_told_stands_with_its_interval_beside_what_is_assumed() -> None:
    values = {"population": {"patience": 0.7, "bots": 0.01}, "estimated": [TOLD]}
    lines = to_markdown(configs.from_mapping(SimulationConfig, values)).splitlines()
    assert lines[0] == "105 parameters: 1 estimated, 94 assumed, 10 set."
    assert (
        "| `patience` | 0.7 (default 0.4) |  | estimated: events:log, 1,400 readers, 95% interval 0.5 to 0.8 "
        "| median probability to ask for another slate after one without a read |"
    ) in lines
    assert "| `bots` | 0.01 (default 0.002) |  | assumed | share of readers that are programs; 0: none |" in lines
    assert "| `readers` | 2000 |  | set | number of readers |" in lines
    assert "**`population`**: How readers differ." in lines


def test_every_parameter_has_a_row_and_no_cell_breaks_it() -> None:
    table = to_markdown(SimulationConfig())
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == len(list(parameters(SimulationConfig()))) - 1  # but for the estimates themselves
    assert {row.count("|") for row in rows} == {6}
