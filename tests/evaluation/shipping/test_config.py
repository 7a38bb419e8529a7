"""The gate's configuration, from TOML and against what is impossible."""

from pathlib import Path

import pytest

from newsrec import config
from newsrec.config import InvalidConfig
from newsrec.evaluation.shipping.config import GuardRail, ShippingConfig
from tests.evaluation.shipping.worlds import asked


def test_it_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(
        'objective = "click_rate"\neffect = 0.02\ntolerated_loss = 0.005\nrisk = 0.1\n'
        '[[guard_rails]]\nmetric = "hides"\nmargin = 0.01\nhigher_is_better = false\n'
        '[[guard_rails]]\nmetric = "dwell"\nmargin = 2\n'
    )
    found = config.load(ShippingConfig, path)
    assert found == asked(risk=0.1, guard_rails=(GuardRail("hides", 0.01, False), GuardRail("dwell", 2.0)))
    assert found.metrics == ("click_rate", "hides", "dwell")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"risk": 0.0}, "risk is 0.0"),
        ({"risk": 0.5}, "expected less than 0.5"),
        ({"power": 1.0}, "power is 1.0"),
        ({"effect": 0.0}, "effect is 0.0"),
        ({"least_gain": 0.02}, "least_gain 0.02"),
        ({"least_gain": -0.01}, "least_gain -0.01"),
        ({"tolerated_loss": 0.0}, "tolerated_loss is 0.0"),
        ({"least_share": 0.6}, "at most most_share, 0.5"),
        ({"draws": 0}, "draws is 0"),
        ({"guard_rails": [{"metric": "hides", "margin": 0.0}]}, "margin of hides is 0.0"),
        ({"guard_rails": [{"metric": "click_rate", "margin": 0.1}]}, "click_rate stands twice"),
        ({"guardrails": []}, "did you mean guard_rails"),
    ],
)
def test_the_impossible_is_refused(wrong: dict[str, object], message: str) -> None:
    values = {"objective": "click_rate", "effect": 0.02, "tolerated_loss": 0.005, **wrong}
    with pytest.raises(InvalidConfig, match=message):
        config.from_mapping(ShippingConfig, values)


def test_of_the_weights_only_what_was_said_is_asked() -> None:
    evidence = asked(least_effective_readers=7, draws=9, most_unsupported=0.5, calibration_confidence=0.9).evidence()
    assert (evidence.least_effective_readers, evidence.draws) == (7, 9)
    assert (evidence.most_unsupported, evidence.calibration_confidence) == (0.5, 0.9)
    assert evidence.half_width == float("inf") == -evidence.lowest
