"""The gate that looks into the log: chosen on validation, decided on test, written down once, and obeyed."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from newsrec import artifact, cli, config, gating, mixture, releases, training
from newsrec.evaluation.gate import GateConfig
from newsrec.evaluation.off_policy.checks import InvalidLog
from newsrec.evaluation.shipping import ledger
from newsrec.evaluation.shipping.config import GuardRail, ShippingConfig
from newsrec.evaluation.shipping.findings import METRICS
from newsrec.gating import VERDICTS, Run, gate_to, publish_to
from newsrec.judging import CannotJudge, JudgingConfig, evaluate_to
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.rollout import simulate
from newsrec.slate import SlateConfig
from newsrec.training import RunConfig
from serving.recommend import ServingConfig
from tests.conftest import ROOT
from tests.evaluation.logs import decisions_of
from tests.test_judging import QUICK, SMALL, write_training_set

ASKED = ShippingConfig(
    "click_rate",
    effect=0.2,
    tolerated_loss=0.02,
    least_effective_readers=5.0,
    guard_rails=(GuardRail("hides", 0.05, higher_is_better=False), GuardRail("coverage", 0.5)),
)
GATE = GateConfig(shipping=ASKED, slates=SlateConfig("plackett_luce", temperature=0.5))


class Site:
    """A log of uniform slates, two trained policies, and releases."""

    def __init__(self, root: Path) -> None:
        self.root, self.releases = root, root / "releases"
        log = simulate(SimulationConfig(readers=250, days=8, slate_size=3, candidates=20, seed=3))
        self.training_set = write_training_set(log, root)
        runs = [RunConfig(name, training=SMALL) for name in ("popularity", "matrix_factorization")]
        trained = [training.train(decisions_of(log), run, progress=lambda line: None) for run in runs]
        self.models = [artifact.save(model, root / model.name) for model in trained]

    def evaluate(self, asked: GateConfig, incumbent: str, out: Path) -> dict:
        judging = replace(QUICK, gate=asked)
        places = out / "winner", out / "metrics.json", out / "report"
        evaluate_to(self.training_set, self.models, self.releases, incumbent, *places, judging)
        return json.loads((out / "metrics.json").read_text())

    def gate(self, asked: GateConfig, run: Run, out: Path) -> tuple[str, dict]:
        decision = gate_to(
            self.training_set,
            out / "winner",
            out / "metrics.json",
            out / "report",
            run,
            as_json(asked),
            out / "verdict",
        )
        return decision, json.loads((out / "verdict" / "verdict.json").read_text())


def as_json(asked: GateConfig) -> str:
    return json.dumps(config.to_mapping(asked))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def evaluated(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated")
    site.evaluate(GATE, "", out)
    return out


def test_the_winner_is_the_one_of_whom_the_log_tells_most(site: Site, evaluated: Path, tmp_path: Path) -> None:
    told = json.loads((evaluated / "metrics.json").read_text())["selection"]
    found = {name: value["mean"] for name, value in told["objective"]["policies"].items()}
    assert told["objective"]["metric"] == "click_rate"
    assert found.keys() == {"popularity", "matrix_factorization"}
    assert told["winner"] == max(found, key=lambda name: found[name])
    assert "as the log tells it" in (evaluated / "report" / "report.md").read_text()
    fewer = GateConfig(shipping=replace(ASKED, higher_is_better=False), slates=GATE.slates)
    assert site.evaluate(fewer, "", tmp_path)["selection"]["winner"] == min(found, key=lambda name: found[name])


def test_the_verdict_is_written_with_rankings_beside_and_once_in_the_ledger(
    site: Site, evaluated: Path, tmp_path: Path
) -> None:
    run = Run(tmp_path / "releases", "", "request/one")
    decision, found = site.gate(GATE, run, evaluated)
    assert site.gate(GATE, run, evaluated) == (decision, found)
    (entry,) = ledger.read(tmp_path / "releases" / VERDICTS).entries
    assert (entry["run"], entry["decision"], entry["sentence"]) == ("request/one", decision, found["sentence"])
    site.gate(GATE, run._replace(name="request/two"), evaluated)
    assert len(ledger.read(tmp_path / "releases" / VERDICTS).entries) == 2
    assert [bound["metric"] for bound in found["bounds"]] == ["click_rate", "hides", "coverage"]
    assert found["incumbent"] == gating.LOGGED
    assert found["ranking"]["decision"] in ("ship", "refuse")
    assert found["ship"] == (decision == "ship")
    text = (evaluated / "verdict" / "verdict.md").read_text()
    assert text.startswith(f"**{decision.capitalize()}**")
    assert "told and decide nothing here" in text
    assert "| nDCG@10 |" in text
    assert f"## Verdict\n\n**{decision.capitalize()}**" in (evaluated / "verdict" / "report.md").read_text()


def test_rankings_leave_nothing_in_the_ledger(site: Site, evaluated: Path, tmp_path: Path) -> None:
    decision, found = site.gate(GateConfig(), Run(tmp_path / "releases", "", "r"), evaluated)
    assert decision in ("ship", "refuse")
    assert "checks" in found
    assert not (tmp_path / "releases").exists()


def test_the_served_policy_is_the_incumbent_and_gains_nothing_over_itself(site: Site, tmp_path: Path) -> None:
    version = releases.publish_artifact(tmp_path / "releases", site.models[0], "", "before")
    site.releases = tmp_path / "releases"
    site.evaluate(GATE, version, tmp_path)
    decision, found = site.gate(GATE, Run(site.releases, version, "r"), tmp_path)
    assert found["incumbent"] == f"popularity {version}"
    own = artifact.load(tmp_path / "winner")
    if own.version == version:
        assert (decision, found["bounds"][0]["gain"]) == ("refuse", 0.0)
    else:
        assert found["bounds"][0]["gain"] != 0.0


def test_what_is_served_already_is_refused_and_not_mixed_into_itself(site: Site) -> None:
    decisions = decisions_of(simulate(SimulationConfig(readers=120, days=5, slate_size=3, candidates=20)))
    served = artifact.load(site.models[1])
    asked = replace(GATE, shipping=replace(ASKED, objective="returned", guard_rails=(GuardRail("click_rate", 0.1),)))
    found = gating.judge(decisions, np.arange(len(decisions)), served, served, asked)
    assert (found.decision, found.bounds[0].gain, found.bounds[0].high) == ("refuse", 0.0, 0.0)


def test_a_log_without_propensities_is_one_sentence(site: Site, evaluated: Path) -> None:
    decisions = decisions_of(simulate(SimulationConfig(readers=40, days=3, slate_size=3, candidates=20)))
    lacking = replace(decisions, propensity=np.full_like(decisions.propensity, np.nan))
    with pytest.raises(InvalidLog, match=r"no propensities.*leave out \[shipping\]"):
        gating.judge(lacking, np.arange(20), artifact.load(site.models[0]), None, GATE)


def verdict(folder: Path, decision: str, share: float = 0.0) -> Path:
    folder.mkdir()
    (folder / "verdict.json").write_text(json.dumps({"decision": decision, "share": share}))
    return folder


def test_what_is_shipped_is_served_alone(site: Site, tmp_path: Path) -> None:
    run = Run(tmp_path / "releases", "", "r/j")
    version = publish_to(site.models[1], verdict(tmp_path / "v", "ship", 1.0), run)
    release = releases.current(run.releases)
    assert release is not None
    assert (release.version, release.run) == (version, "r/j")
    assert artifact.load(release.directory).name == "matrix_factorization"


def test_a_mixture_keeps_what_is_served_and_adds_the_winner(site: Site, tmp_path: Path) -> None:
    before = releases.publish_artifact(tmp_path / "releases", site.models[0], "", "before")
    run = Run(tmp_path / "releases", before, "r/j")
    verdict_at = verdict(tmp_path / "v", "mix", 0.3)
    version = publish_to(site.models[1], verdict_at, run)
    assert publish_to(site.models[1], verdict_at, run) == version  # tried again
    release = releases.current(run.releases)
    assert release is not None
    found = mixture.load(release.directory)
    assert (found.incumbent.version, found.candidate.name, found.share) == (before, "matrix_factorization", 0.3)
    assert found.candidate.version in found.experiment
    more = publish_to(site.models[1], verdict(tmp_path / "w", "mix", 0.4), run._replace(incumbent=version))
    grown = mixture.load(run.releases / "versions" / more)  # type: ignore[operator]
    assert (grown.incumbent.version, grown.candidate.version, grown.share) == (before, found.candidate.version, 0.4)
    assert grown.experiment != found.experiment  # else who moved would be in both arms


def test_where_nothing_is_served_a_mixture_is_the_winner_alone_and_that_is_said(site: Site, tmp_path: Path) -> None:
    run = Run(tmp_path / "releases", "", "r/j")
    version = publish_to(site.models[1], verdict(tmp_path / "v", "mix", 0.3), run)
    assert version == artifact.load(site.models[1]).version
    decisions = decisions_of(simulate(SimulationConfig(readers=60, days=3, slate_size=3, candidates=20)))
    unsure = replace(GATE, shipping=replace(ASKED, guard_rails=()))
    found = gating.judge(decisions, np.arange(len(decisions)), artifact.load(site.models[0]), None, unsure)
    mixed = replace(found, decision="mix")
    assert "published alone. Send it" in gating._note(mixed, run)
    assert gating._note(mixed, run._replace(incumbent=version)) == ""
    assert gating._note(replace(found, decision="refuse"), run) == ""


@pytest.mark.parametrize("decision", ["refuse", "not enough evidence"])
def test_nothing_else_is_published(decision: str, site: Site, tmp_path: Path) -> None:
    with pytest.raises(CannotJudge, match=f"'{decision}', expected ship or mix"):
        publish_to(site.models[1], verdict(tmp_path / "v", decision), Run(tmp_path / "releases", "", "r"))
    assert releases.current(tmp_path / "releases") is None


def test_the_gate_takes_slates_for_what_the_predictor_makes_of_scores_by_default() -> None:
    assert GateConfig().slates == ServingConfig().slate


def test_the_configuration_survives_its_way_through_a_submission(tmp_path: Path) -> None:
    toml = tmp_path / "gate.toml"
    toml.write_text(
        'max_same_list = 1.0\n[slates]\nmethod = "greedy"\n[shipping]\nobjective = "returned"\neffect = 0.01\n'
        'tolerated_loss = 0.002\n[[shipping.guard_rails]]\nmetric = "hides"\nmargin = 0.01\nhigher_is_better = false\n'
    )
    asked = config.load(GateConfig, toml)
    assert JudgingConfig.of(as_json(asked)).gate == asked
    assert asked.shipping is not None
    assert asked.shipping.metrics == ("returned", "hides")
    assert asked.slates.method == "greedy"


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "gates").glob("*.toml")), ids=lambda path: path.stem)
def test_every_gate_that_ships_with_the_project_asks_what_a_log_can_tell(path: Path) -> None:
    asked = config.load(GateConfig, path)
    assert asked.shipping is not None
    assert set(asked.shipping.metrics) <= set(METRICS)


def test_the_command_asks_a_log_without_a_pipeline(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*more: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["newsrec", "gate", *map(str, (site.models[1], *more))])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    toml = tmp_path / "gate.toml"
    toml.write_text('[shipping]\nobjective = "click_rate"\neffect = 0.2\ntolerated_loss = 0.02\n')
    log = ("--log", site.root / "log", "--config", toml)
    code, out, _ = run(*log, "--incumbent", site.models[0], "--last", 0.3)
    assert code == 0
    assert f"A gain is a difference from popularity {artifact.load(site.models[0]).version}" in out
    assert "| click_rate |" in out or "not enough evidence" in out.lower()
    code, _, error = run(*log, "--last", 0.9)
    assert (code, "expected later ones" in error) == (2, True)
    toml.write_text('[shipping]\nobjective = "complaints"\neffect = 0.2\ntolerated_loss = 0.02\n')
    code, _, error = run(*log)
    assert (code, "nobody measured complaints" in error) == (2, True)
    toml.write_text("max_same_list = 1.0\n")
    code, _, error = run(*log)
    assert (code, "no [shipping] table" in error) == (2, True)
