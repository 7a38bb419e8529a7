"""The benchmark of retention: whom it chooses, what each bar is made of, and that slices go on where they ended."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.results import FOLDER, ROOT, Bar, Part, to_markdown
from benchmarks.retention import (
    distillation,
    elasticity,
    elsewhere,
    finals,
    imitation,
    offline,
    other_worlds,
    parts,
    screening,
    tabular,
    transfer,
    tuning,
)
from benchmarks.retention.bars import Played
from benchmarks.retention.contenders import OFFLINE, Choice, long_term, spaces, untuned, written
from benchmarks.retention.runner import Runner, TimeOver, work
from benchmarks.retention.size import BRIEF, FULL, QUICK, Size
from newsrec import config
from newsrec.compare.jobs import plan
from newsrec.compare.study import BEHAVIOUR
from newsrec.compare.work import read_tuned
from newsrec.registry import REGISTRY
from newsrec.simulator.lives import Lives
from newsrec.training import RunConfig
from tests.compare.studies import study

SEEDS, READERS = (1, 2, 3, 4), 50
CHOICE = Choice(untuned(FULL), ("dwell", "transformer"), ("iql", "dqn"), "cql")


def played(more: dict[str, float], noise: float = 0.0, **outcomes: dict[str, float]) -> dict[str, dict[int, Lives]]:
    """Policies under which every reader has so many active days ``more`` than 8, the same ones but for ``noise``.

    Other outcomes by policy, 100 where nothing is said; visits are 20.
    """
    found: dict[str, dict[int, Lives]] = {}
    for number, (name, days) in enumerate(more.items()):
        found[name] = {}
        for seed in SEEDS:
            rng = np.random.default_rng([seed, 0])
            usual = 8.0 + rng.normal(size=READERS)
            own = noise * np.random.default_rng([seed, 1 + number]).normal(size=READERS)
            fields = {field: np.full(READERS, of.get(name, 100.0)) for field, of in outcomes.items()}
            rest = {field: np.full(READERS, 20.0) for field in Lives._fields}
            shown = np.array([1, 0, 0, 3])
            found[name][seed] = Lives(**{**rest, "shown": shown, **fields, "active_days": usual + days + own})
    return found


def met(part: Part | list[Bar]) -> list[bool]:
    return [bar.met for bar in (part.bars if isinstance(part, Part) else part)]


# Who takes part.


def test_both_sides_are_tuned_with_as_many_trials_and_trained_for_as_many_epochs() -> None:
    jobs = tuning.jobs(FULL)
    assert jobs.keys() == written().contenders.keys()
    assert {job.what["trials"] for job in jobs.values()} == {8}
    assert {job.what["run"]["training"]["epochs"] for job in jobs.values()} == {3}
    assert not any("epochs" in space.get("training", {}) for space in spaces(FULL).values())
    assert {long_term(name) for name in jobs} == {True, False}
    assert [long_term(name) for name in ("dwell", "diverse", "return", "dqn", "cql")] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("size", [FULL, BRIEF, QUICK])
def test_nobody_is_judged_by_the_seeds_that_chose_them(size: Size) -> None:
    groups = [(size.tuning_seed,), size.screening_seeds, size.fresh_seeds]
    assert len({seed for group in groups for seed in group}) == sum(map(len, groups))
    assert set(size.further_seeds) <= set(size.fresh_seeds)


@pytest.mark.parametrize("name", ["ease", "als", "bpr", "lightgcn", "sasrec", "nrms", "pp_rec"])
def test_the_published_recommenders_are_as_newsrec_tune_left_them(name: str) -> None:
    run, known = written().contender(name).run, REGISTRY[name].config
    tuned = config.load(RunConfig, ROOT / "configs" / f"{name}.toml")
    assert config.from_mapping(known, run.model) == config.from_mapping(known, tuned.model)


@pytest.mark.slow
def test_a_tuned_table_is_one_of_a_contender(tmp_path: Path) -> None:
    tiny = replace(QUICK, contenders=("popularity",), trials=1)
    runner = Runner(tmp_path, 1, quiet)
    assert tuning.tables(tiny, runner) == untuned(tiny)
    runner.run("tuning", tuning.work(tiny))
    tuned = tuning.tables(tiny, runner)["popularity"]
    told = read_tuned(tuning.jobs(tiny)["popularity"].at(tmp_path))
    assert tuned["slate"] == told["slate"]
    assert "seed" not in tuned
    again = screening.screen(tiny, {"popularity": tuned}).contender("popularity")
    assert again.run.training.epochs == tiny.epochs
    assert tuning.figures(tiny, runner)["popularity"]["active_days"] == told["active_days"]


def test_nothing_is_tuned_with_no_trials(tmp_path: Path) -> None:
    assert (BRIEF.trials, tuning.jobs(BRIEF), tuning.work(BRIEF).jobs) == (0, {}, [])
    assert tuning.tables(BRIEF, Runner(tmp_path, 1, quiet)) == untuned(BRIEF)
    assert "Nobody tuned: transformer" in screening.protocol(BRIEF)


def test_the_two_best_of_each_side_go_on() -> None:
    days = {"popularity": 0.0, "dwell": 0.4, "transformer": 0.2, "diverse": 0.3}
    days |= {"dqn": 0.1, "iql": 0.5, "cql": -1.0, "actor_critic": 0.25, "decision_transformer": -2.0}
    choice = screening.chosen(untuned(FULL), played(days))
    assert choice.supervised == ("dwell", "diverse")
    assert choice.long_term == ("iql", "actor_critic")
    assert (choice.best, choice.offline) == ("iql", "iql")
    del days["iql"]
    assert screening.chosen(untuned(FULL), played(days)).offline == "cql"
    assert screening.guessed(untuned(FULL)).offline in OFFLINE
    assert "popularity" not in screening.guessed(untuned(FULL)).supervised


# What bars are made of.

ENDS = {"planner": 2.0, "greedy_click": 0.4, "greedy_dwell": 1.6}


@pytest.mark.parametrize(
    ("best", "noise", "expected"),
    [(1.1, 0.0, True), (0.8, 0.0, False), (1.4, 2.5, False)],
    ids=["half", "less", "loose"],
)
def test_half_of_the_headroom_has_to_be_won_and_a_quarter_for_sure(best: float, noise: float, expected: bool) -> None:
    """The planner wins 1.6 days over perfect clicks; ``dwell`` is the better supervised one, at .2."""
    days = {"dwell": 0.2, "transformer": 0.1, "iql": best, "dqn": 0.3}
    part = finals.measured(FULL, CHOICE, played(days | ENDS, noise))
    share, lift, visits = part.bars
    assert "iql over dwell" in share.name
    assert share.met is expected
    assert (share.value >= 0.5) is (best > 0.8)
    if not noise:
        assert share.value == pytest.approx((best - 0.2) / 1.6)
        assert lift.value == pytest.approx((best - 0.2) / 8.2, abs=0.01)
        assert lift.met
        assert part.figures["finals"]["share_above_dwell_known"].value == pytest.approx(0.4 / 1.6)
    assert (visits.value, visits.met) == (len(SEEDS) * READERS * 20.0, False)


def test_the_rival_is_the_better_supervised_one_on_the_fresh_seeds() -> None:
    assert finals.supervised(CHOICE, played({"dwell": 0.1, "transformer": 0.2})) == "transformer"


def of_curve(
    reversed_: float, zero: float, nominal: float, elastic: float, noise: float = 0.0, **clicks: float
) -> Part:
    lifts = {"reversed": reversed_, "indifferent": zero, "nominal": nominal, "elastic": elastic}
    by_world: dict[str, Played] = {}
    for world, days in lifts.items():
        lost = {"iql": clicks.get("played", 100.0) if world == "indifferent" else 50.0}
        by_world[world] = played({"dwell": 0.0, "iql": days}, noise, clicks=lost)
    there = played({"dwell": 0.0, "iql": 0.0}, clicks={"iql": clicks.get("learnt", 100.0)})
    return elasticity.measured(CHOICE, "dwell", by_world, there)


def test_a_curve_that_rises_through_nothing_at_zero_meets_its_bars() -> None:
    part = of_curve(-0.5, 0.0, 0.5, 1.0)
    assert met(part) == [True] * 5
    assert part.figures["elasticity"]["rises"]
    assert part.figures["elasticity"]["elasticity"] == {
        "reversed": -1.5, "indifferent": 0.0, "nominal": 1.5, "elastic": 3.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "failing"),
    [
        (of_curve(-0.5, 0.1, 0.5, 1.0), 0),
        (of_curve(-0.5, -0.1, 0.5, 1.0), 0),
        (of_curve(0.1, 0.1, 0.5, 1.0, 0.0), 1),
        (of_curve(-0.5, 0.0, 0.5, 0.4), 2),
        (of_curve(-0.5, 0.0, 0.5, 1.0, played=98.0), 3),
        (of_curve(-0.5, 0.0, 0.5, 1.0, learnt=98.0), 4),
    ],
    ids=["something at zero", "less at zero", "better reversed", "falls", "clicks lost", "clicks lost though learnt"],
)
def test_each_bar_of_the_curve_can_fail(part: Part, failing: int) -> None:
    assert not met(part)[failing]
    assert sum(met(part)) >= 3


def test_noise_makes_a_flat_curve_neither_rise_nor_fall() -> None:
    part = of_curve(0.0, 0.0, 0.0, 0.0, noise=2.0)
    assert met(part)[:3] == [True] * 3
    assert not part.figures["elasticity"]["rises"]


def test_three_other_worlds_of_four_and_the_worst_is_named() -> None:
    def part(**days: float) -> Part:
        by_world = {name: played({"dwell": 0.0, "iql": days.get(name, 0.5)}) for name in other_worlds.worlds()}
        return other_worlds.measured(CHOICE, "dwell", by_world)

    (bar,) = part(cascade=-0.4).bars
    assert (bar.value, bar.met) == (3, True)
    assert "in cascade" in bar.name
    (bar,) = part(cascade=0.0, self_exciting=0.0).bars
    assert (bar.value, bar.met) == (2, False)
    assert len(other_worlds.worlds()) == 4


FROM_ONE_LOG = {
    BEHAVIOUR: 0.0, "clicks": 0.3, "clone": 0.0, "offline": 0.7, "outcomes_permuted": -0.1, "rewards_permuted": 0.2,
    "online_1": 0.8, "online_2": 1.0,
}  # fmt: skip


def test_offline_is_judged_against_the_log_its_clone_and_online() -> None:
    part = offline.measured(FULL, CHOICE, played(FROM_ONE_LOG))
    assert met(part) == [True] * 6
    assert part.bars[2].value == pytest.approx(0.7)
    assert part.bars[3].value == 0.5  # two articles of four were shown
    assert part.figures["offline"]["algorithm"] == "cql"


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({BEHAVIOUR: 0.75, "outcomes_permuted": 0.6}, {0, 2}),  # .05 less where online wins .25
        ({"clone": 0.8}, {1}),
        ({"offline": 0.5}, {2}),
        ({"online_2": -0.1, "offline": -0.2, "clone": -0.3}, {0, 2}),  # twice as much, of what is lost
        ({"outcomes_permuted": 0.1}, {4}),
        ({"rewards_permuted": 0.4}, {5}),
    ],
    ids=["the log's policy", "its clone", "online", "nothing online", "outcomes permuted", "rewards permuted"],
)
def test_each_bar_of_offline_can_fail(change: dict[str, float], failing: set[int]) -> None:
    part = offline.measured(FULL, CHOICE, played(FROM_ONE_LOG | change))
    assert {number for number, yes in enumerate(met(part)) if not yes} == failing


def test_the_online_learner_collects_its_own_logs_and_goes_on_from_its_weights() -> None:
    found = offline.from_one_log(FULL, CHOICE)
    whole = plan(found)
    first, second, third = (whole.trainings[name, 11] for name in ("offline", "online_1", "online_2"))
    assert first.needs == (whole.logs[11],)
    assert whole.logs[11].what["actor"]["policy"] == "popularity"
    for before, after in ((first, second), (second, third)):
        log, start = after.needs
        assert start == before
        assert log.needs == (before,)
        assert log.what["world"]["readers"] == first.needs[0].what["world"]["readers"]
    assert len({job.needs[0].what["world"]["seed"] for job in (first, second, third)}) == 3
    controls = {name: whole.trainings[name, 11].what.get("permuted") for name in found.contenders}
    assert controls == dict.fromkeys(found.contenders) | {
        "outcomes_permuted": "outcomes", "rewards_permuted": "rewards"
    }  # fmt: skip


@pytest.mark.parametrize(("clone", "expert", "expected"), [(0.9, 1.0, True), (0.7, 1.0, False), (-0.9, -1.0, False)])
def test_a_clone_keeps_most_of_what_its_expert_wins(clone: float, expert: float, expected: bool) -> None:
    part = imitation.measured(CHOICE, played({BEHAVIOUR: 0.0, "expert": expert, "clone": clone}))
    assert met(part) == [expected]
    assert part.bars[0].value == pytest.approx(clone / expert)


def test_a_clone_has_a_tenth_of_the_readers_that_its_expert_shows_slates_to() -> None:
    whole = plan(imitation.cloned(FULL, CHOICE))
    log = whole.trainings["clone", 11].needs[0]
    assert log.needs == (whole.trainings["expert", 11],)
    assert 10 * log.what["world"]["readers"] == whole.logs[11].what["world"]["readers"] == FULL.log_readers
    assert whole.trainings["clone", 11].what["run"]["model"] == {"imitate": "slates"}
    assert whole.plays[BEHAVIOUR, "nominal", 11].what["actor"]["policy"] == "random"


def test_transfer_is_from_another_market_at_equal_data() -> None:
    whole = plan(transfer.to_a_new_market(FULL, CHOICE))
    scratch, warm, source = (whole.trainings[name, 11] for name in ("scratch", "warm", "source"))
    assert warm.needs == (scratch.needs[0], source)
    here, elsewhere_ = (job.needs[0].what["world"] for job in (scratch, source))
    assert (here["readers"], elsewhere_["readers"]) == (FULL.small_log_readers, FULL.log_readers)
    assert here["seed"] != elsewhere_["seed"]
    assert "identity" not in warm.what["run"]["warm_start_layers"]
    assert met(transfer.measured(CHOICE, played({"scratch": 0.0, "warm": 0.2, "source": 9.0}))) == [True]
    (bar,) = transfer.measured(CHOICE, played({"scratch": 0.0, "warm": 0.4, "source": 9.0}, 2.0)).bars
    assert bar.value > 0.02  # and yet not certain
    assert not bar.met


def test_a_student_keeps_the_value_at_a_quarter_of_the_parameters() -> None:
    days = {BEHAVIOUR: -0.8, "teacher": 0.2, "student": 0.0}
    part = distillation.measured(CHOICE, played(days), {"teacher": 100.0, "student": 25.0})
    assert met(part) == [True, True]
    assert part.bars[0].value == pytest.approx(1 - 0.2 / 8.2, abs=0.001)
    assert part.figures["distillation"]["share_of_lift"].value == pytest.approx(0.8)
    poor = distillation.measured(CHOICE, played(days | {"student": -0.3}), {"teacher": 100.0, "student": 26.0})
    assert met(poor) == [False, False]
    job = plan(distillation.taught(FULL, CHOICE)).trainings["student", 11]
    assert (job.what["run"]["policy"], job.what["taught_by"]) == ("transformer", ["teacher"])


def test_the_worst_seed_of_a_value_learner_counts() -> None:
    good, bad = tabular.judged({"dqn": [1.0, 0.995], "cql": [1.0, 0.98]})
    assert (good.met, bad.met) == (True, False)
    assert (bad.value, bad.interval) == (0.98, (0.98, 1.0))
    assert 0.0 < tabular.share("dqn", 0, 1) < 1.0


def test_bars_of_other_benchmarks_are_repeated_or_said_to_be_missing(tmp_path: Path) -> None:
    bar = Bar("recall", 0.6, (0.5, 0.7), "above 0", True)
    told = {"versions": {"commit": "abc"}, "bars": [bar._asdict()]}
    (tmp_path / "explanation.json").write_text(json.dumps(told))
    part = elsewhere.measured(tmp_path)
    assert part.bars[0] == bar
    assert (part.bars[1].value, part.bars[1].met) == (None, False)
    assert "python -m benchmarks.training_speed" in part.bars[1].bar
    assert part.figures["elsewhere"]["commits"] == {"explanation.json": "abc"}


# Slices.


def quiet(*_: Any) -> Any:
    return nullcontext(lambda step: None)


@pytest.mark.slow
def test_a_slice_ends_and_the_next_one_goes_on(tmp_path: Path) -> None:
    found = study()
    asked = work(found)
    _, hours = Runner(tmp_path, 1, quiet).cost({"all": asked})
    assert np.isnan(hours)  # nobody knows yet
    with pytest.raises(TimeOver, match="the part"):
        Runner(tmp_path, 1, quiet, hours=0.0).run("the part", asked)
    assert not any(job.done(tmp_path) for job in asked.jobs)
    _, hours = Runner(tmp_path, 1, quiet).cost({"all": asked, "again": asked})
    assert 0.0 < hours == pytest.approx(Runner(tmp_path, 1, quiet).cost({"all": asked})[1])  # each job once
    runner = Runner(tmp_path, 1, quiet, hours=1.0)
    runner.run("the part", asked)
    assert all(job.done(tmp_path) for job in asked.jobs)
    assert runner.lives(found).keys() == {"popularity", "lottery"}
    assert runner.spent() > 0.0
    Runner(tmp_path, 1, quiet, hours=0.0).run("the part", asked)  # nothing is left to do
    assert runner.cost({"all": asked})[1] == 0.0


def test_all_parts_are_priced_before_anything_is_done(tmp_path: Path) -> None:
    asked = parts.works(QUICK, Runner(tmp_path, 1, quiet))
    told = {name.replace("_", " ") for name in parts.protocol(QUICK)} - {"tabular", "elsewhere"}
    assert asked.keys() == told | {"tuning"}
    assert set(parts.seeds(QUICK)) == set(parts.protocol(QUICK)) - {"elsewhere"}
    for one in asked.values():
        assert {job.sort for job in one.jobs} <= {job.sort for job in one.short}


def test_the_page_of_results_shows_those_of_the_brief_run() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert to_markdown(FOLDER / "retention_brief.json") in page
