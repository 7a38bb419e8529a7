"""What is measured is the whole log."""

import pytest

from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.simulator.throughput import throughput


def test_a_measurement_counts_every_decision_of_the_log() -> None:
    config = SimulationConfig(readers=200, days=2, articles_per_day=20)
    found = throughput(config)
    assert found.decisions == simulate(config).recommendations.num_rows > 100
    assert found.cpu_seconds > 0
    assert found.decisions_per_second * found.seconds == pytest.approx(found.decisions)
    assert 0.01 < found.log_megabytes < 5
    assert found.peak_megabytes > 50
