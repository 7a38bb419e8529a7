"""Public logs, and a simulated one: what each is known to hold and to lack."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from newsrec import events
from newsrec.doctor.diagnosis import diagnose, read
from newsrec.doctor.finding import CALIBRATION, GATE, OFF_POLICY, PARTS, RETENTION, TEXT, Diagnosis
from newsrec.encoders.text import embed_articles
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate

Data = Callable[[str], Path]
SEEN_TWICE = "327 of 4,637 readers are seen twice"


def sentences(diagnosis: Diagnosis) -> dict[str, tuple[str, str]]:
    return {part.name: (part.verdict, part.sentence) for part in diagnosis.parts}


def counts(diagnosis: Diagnosis, name: str) -> dict[str, float]:
    return next(dict(found.counts) for found in diagnosis.findings if found.name == name)


@pytest.fixture(scope="module")
def mind(real_data: Data) -> Diagnosis:
    return diagnose(read(f"mind:{real_data('mind-5k')}", "UTC"))


def test_mind_cannot_say_who_comes_back(mind: Diagnosis, real_data: Data) -> None:
    lines = (real_data("mind-5k") / "behaviors.tsv").read_text(encoding="utf-8").splitlines()
    visits = Counter(line.split("\t")[1] for line in lines)
    assert f"{sum(n > 1 for n in visits.values()):,} of {len(visits):,} readers are seen twice" == SEEN_TWICE
    found = sentences(mind)
    assert found[RETENTION] == ("unfit", f"no propensities; retention cannot be studied: {SEEN_TWICE}")
    assert found[OFF_POLICY] == ("unfit", "no propensities")
    assert found[TEXT] == ("unfit", "2.8% of what was shown has a title")
    assert found[CALIBRATION][0] == "limited"
    assert f"no law of return: {SEEN_TWICE}" in found[CALIBRATION][1]
    assert "5,000 of 5,000 decisions have a click: what nobody clicked was left out" in found[CALIBRATION][1]
    assert counts(mind, "titles")["titled"] == 2_000
    bare = "184,049 of 189,359 shown articles have no title, category or embedding"
    assert found[GATE] == ("limited", f"{bare}: policies see their age and popularity alone")


def test_vectors_that_ingestion_made_of_nothing_are_no_content(
    mind: Diagnosis, real_data: Data, tmp_path: Path
) -> None:
    log = read(f"mind:{real_data('mind-5k')}", "UTC")
    events.write(log._replace(articles=embed_articles(log.articles)), tmp_path / "log")
    assert diagnose(read(str(tmp_path / "log"))) == mind


def test_ebnerd_has_returns_but_few_readers(real_data: Data) -> None:
    diagnosis = diagnose(read(f"ebnerd:{real_data('ebnerd-test')}", "Europe/Copenhagen"))
    assert counts(diagnosis, "seen again") == {"readers": 38, "seen_again": 33, "came_back": 31, "visits": 485}
    found = sentences(diagnosis)
    assert {name: verdict for name, (verdict, _) in found.items()} == {
        GATE: "limited",
        RETENTION: "unfit",
        OFF_POLICY: "unfit",
        TEXT: "unfit",
        CALIBRATION: "limited",
    }
    assert found[RETENTION][1] == "no propensities"
    assert "38 readers are few: expected 40 for an interval" in found[GATE][1]
    assert "31 readers who come back are few" in found[CALIBRATION][1]
    assert "the log lasts 6.95 days: a return after 7 cannot be seen" in found[CALIBRATION][1]
    assert "dwell" not in found[CALIBRATION][1]


def test_nemig_has_titles_but_no_clock(real_data: Data) -> None:
    found = sentences(diagnose(read(f"mind:{real_data('nemig-en')}")))
    assert found[GATE] == ("limited", "no clock: policies have to be trained with use_time = false")
    assert found[RETENTION] == ("unfit", "no propensities; no clock")
    assert found[TEXT] == ("fine", PARTS[TEXT])


def test_the_open_bandit_log_is_for_off_policy_evaluation(real_data: Data) -> None:
    diagnosis = diagnose(read(f"obd:{real_data('obd-men')}"))
    found = sentences(diagnosis)
    assert found[OFF_POLICY] == ("fine", PARTS[OFF_POLICY])
    unknown = "retention cannot be studied: the log does not say who its readers are"
    assert found[RETENTION] == ("unfit", unknown)
    assert found[TEXT] == ("unfit", "no titles")
    assert counts(diagnosis, "click rate") == {
        "clicks": 115,
        "impressions": 20_000,
        "decisions": 20_000,
        "with_a_click": 115,
    }


def test_movielens_has_no_decision(real_data: Data) -> None:
    found = sentences(diagnose(read(f"interactions:{real_data('ml-100k')}", "UTC")))
    assert found == dict.fromkeys(PARTS, ("unfit", "no decision was logged, only imported reads"))


def test_a_simulated_log_can_answer_everything() -> None:
    config = SimulationConfig(readers=200, days=14, articles_per_day=12, candidates=30, slate_size=5)
    diagnosis = diagnose(simulate(config))
    assert sentences(diagnosis) == {name: ("fine", able) for name, able in PARTS.items()}
    assert {found.verdict for found in diagnosis.findings} == {"fine"}
