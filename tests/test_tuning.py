"""Tuning finds better values, goes on where it was stopped, and looks at nobody who judges it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from newsrec import config, dataset, events
from newsrec.config import InvalidConfig
from newsrec.search_space import Space, space_from_mapping
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.slate import SlateConfig
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.training import RunConfig, TrainingConfig, train
from newsrec.tuning import RANDOM_TRIALS, Tuned, simulated_active_days, table, tune, validation_ranking

RUN = RunConfig("cql", seed=3)
SPACE: Space = space_from_mapping(
    {
        "model.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.alpha": {"low": 0.0, "high": 4.0},
        "training.epochs": {"low": 4, "high": 24},
        "steps": {"choices": [1, 2, 4]},
    },
    RUN,
)


def peak(run: RunConfig) -> float:
    """Best, 0, at a learning rate of 3e-3, an alpha of 2 and 8 epochs of two steps; the defaults have -3.2."""
    rate, alpha = math.log10(run.model["learning_rate"] / 3e-3), run.model["alpha"] - 2.0
    return -4.0 * rate**2 - 0.25 * alpha**2 - ((run.training.epochs - 8) / 12) ** 2 - 0.5 * (run.steps != 2)


def search(trials: int = 8, seed: int = 0, value: Callable[[RunConfig], float] = peak, **more: object) -> Tuned:
    return tune(RUN, SPACE, trials, seed, value, progress=lambda _: None, **more)  # type: ignore[arg-type]


def test_within_eight_trials_it_finds_better_values_than_the_defaults() -> None:
    default = peak(tune(RUN, SPACE, 1, 0, peak, progress=lambda _: None).best)
    assert default == pytest.approx(-4 * math.log10(3) ** 2 - 0.25 * 1.75**2 - 1.0 - 0.5)
    found = [peak(search(seed=seed).best) for seed in range(10)]
    assert min(found) > default
    assert sum(found) / len(found) > default / 2, "half of the way, on average"


def test_after_the_random_ones_trials_are_nearer_to_the_best() -> None:
    means = [[], []]
    for seed in range(8):
        values = [trial.value for trial in search(16, seed).trials]
        for part, mean in zip((values[1:RANDOM_TRIALS], values[RANDOM_TRIALS:]), means, strict=True):
            mean.append(sum(part) / len(part))
    assert sum(means[1]) > 0.75 * sum(means[0]), "less negative"


def test_the_first_trial_is_the_run_as_it_is_and_the_best_is_kept_with_all_else() -> None:
    first, *_ = search().trials
    assert first.values == {"model.learning_rate": 1e-3, "model.alpha": 0.25, "training.epochs": 20, "steps": 1}
    assert tune(
        RUN, SPACE, 8, 0, lambda run: float(run.training.epochs == 20), progress=lambda _: None
    ).best == replace(RUN, model={"learning_rate": 1e-3, "alpha": 0.25})
    found = search()
    best = max(found.trials, key=lambda trial: trial.value)
    assert (found.best.model["alpha"], found.best.training.epochs) == (
        best.values["model.alpha"],
        best.values["training.epochs"],
    )
    assert (found.best.policy, found.best.seed) == ("cql", 3)


def test_another_seed_searches_elsewhere() -> None:
    assert search(seed=1).trials != search(seed=0).trials
    assert search(seed=1).trials == search(seed=1).trials


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = search(record=tmp_path / "whole.jsonl")
    calls: list[RunConfig] = []

    def stopped_in_the_fourth(run: RunConfig) -> float:
        calls.append(run)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return peak(run)

    record = tmp_path / "searches" / "stopped.jsonl"
    with pytest.raises(KeyboardInterrupt):
        search(value=stopped_in_the_fourth, record=record)
    assert len(record.read_text().splitlines()) == 1 + 3
    assert search(value=stopped_in_the_fourth, record=record) == whole
    assert len(calls) == 4 + 5, "three are told again, the fourth and what follows are tried"
    assert record.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_a_finished_search_can_be_read_again_and_made_longer(tmp_path: Path) -> None:
    def refused(run: RunConfig) -> float:
        raise AssertionError("nothing is left to try")

    record = tmp_path / "record.jsonl"
    eight = search(record=record)
    assert search(value=refused, record=record) == eight
    twelve = search(12, record=record)
    assert twelve.trials[:8] == eight.trials
    assert twelve == search(12)
    assert search(value=refused, record=record) == eight, "the first eight of twelve"


def test_a_record_of_another_search_is_refused(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    search(record=record)
    with pytest.raises(InvalidConfig, match=r"is the record of another search .* run, space or seed differ"):
        search(seed=1, record=record)
    with pytest.raises(InvalidConfig, match="is the record of another search"):
        tune(replace(RUN, seed=4), SPACE, 8, 0, peak, record, lambda _: None)
    lines = record.read_text().splitlines()
    moved = json.loads(lines[2])
    moved["values"]["model.alpha"] = 3.0
    record.write_text("\n".join([*lines[:2], json.dumps(moved), *lines[3:]]))
    with pytest.raises(InvalidConfig, match=r"trial 2 of .* another version of optuna made it: begin a new record"):
        search(record=record)
    record.write_text("trial,value\n")
    with pytest.raises(InvalidConfig, match="is no record of trials"):
        search(record=record)


def test_a_trial_that_fails_counts_as_the_worst_and_says_why(tmp_path: Path) -> None:
    def diverging(run: RunConfig) -> float:
        if run.model["learning_rate"] > 2e-3:
            raise InvalidConfig("cql: found loss nan in epoch 1; lower model.learning_rate")
        return math.nan if run.model["alpha"] > 3.0 else peak(run)

    lines: list[str] = []
    record = tmp_path / "record.jsonl"
    found = tune(RUN, SPACE, 12, 0, diverging, record, lines.append)
    failed = [trial for trial in found.trials if trial.failure]
    assert len(found.trials) == len(lines) == 12
    reasons = {trial.failure for trial in failed}
    assert reasons == {"cql: found loss nan in epoch 1; lower model.learning_rate", "its value is nan"}
    assert all(trial.value == -math.inf for trial in failed)
    assert found.best.model["learning_rate"] <= 2e-3
    assert tune(RUN, SPACE, 12, 0, diverging, record, lines.append) == found, "failures are told again, too"
    written = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    assert [line["value"] is None for line in written] == [bool(trial.failure) for trial in found.trials]
    shown = next(line for line in lines if "failed" in line)
    assert "failed: " in shown
    assert shown.startswith("cql trial ")


def test_values_that_do_not_go_together_are_a_failed_trial() -> None:
    run = RunConfig("cql", {"network": {"width": 64, "heads": 2}})
    space = space_from_mapping({"model.network": {"width": {"choices": [64, 66]}, "heads": {"choices": [2, 4]}}}, run)
    found = tune(run, space, 10, 0, lambda made: made.model["network"]["width"], progress=lambda _: None)
    assert any("expected a multiple of the 4 heads" in trial.failure for trial in found.trials)
    assert found.best.model["network"] == {"width": 66, "heads": 2}


def test_where_everything_fails_there_is_no_best() -> None:
    def failing(run: RunConfig) -> float:
        raise InvalidConfig("the log is too small")

    with pytest.raises(InvalidConfig, match="cql: all 3 trials failed, the first one because the log is too small"):
        search(3, value=failing)
    with pytest.raises(InvalidConfig, match="trials is 0, expected 1 or more"):
        search(0)


def test_a_mistake_in_the_figure_is_no_failed_trial() -> None:
    with pytest.raises(ZeroDivisionError):
        search(value=lambda run: 1 / 0)


def test_the_table_has_the_best_trial_on_top() -> None:
    found = search()
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(found))
    rows = [line for line in capture.get().splitlines() if line.startswith("│")]
    assert len(rows) == 8
    assert f"{max(trial.value for trial in found.trials):.4g}" in rows[0]


SMALL = RunConfig("popularity", training=TrainingConfig(epochs=2, batch_size=64))
STEADY = PopulationConfig(visits_per_day=2.0)
LOG = SimulationConfig(readers=30, days=5, articles_per_day=10, candidates=30, seed=10, population=STEADY)
WORLD = replace(LOG, readers=8, days=2)


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, log = tmp_path_factory.mktemp("tuning"), simulate(LOG)
    events.write(log, folder / "log")
    pq.write_table(point_in_time(decision_moments(log), reader_snapshots(log), "user_id"), folder / "readers.parquet")
    articles = point_in_time(article_moments(log), article_snapshots(log), "article_id")
    pq.write_table(articles, folder / "articles.parquet")
    return folder


def test_the_ranking_of_validation_decisions_is_that_of_the_training_run(training_set: Path) -> None:
    value = validation_ranking(training_set, lambda _: None)
    decisions = dataset.read(training_set)
    assert value(SMALL) == train(decisions, SMALL, lambda _: None).provenance["validation_ndcg"]
    no_clock = replace(SMALL, use_time=False)
    assert value(no_clock) != value(SMALL), "features are read again"


def test_active_days_are_those_of_all_readers_of_all_worlds(training_set: Path) -> None:
    worlds = [replace(WORLD, seed=seed) for seed in (20, 21)]
    value = simulated_active_days(training_set, worlds, {10, 11}, SlateConfig("epsilon"), lambda _: None)
    made = train(dataset.read(training_set), SMALL, lambda _: None)
    actor = Actor(made.policy, SlateConfig("epsilon"), made.name, made.catalogue)  # type: ignore[arg-type]
    total = sum(live_under(world, actor).active_days.sum() for world in worlds)
    assert value(SMALL) == pytest.approx(total / 16)


def test_readers_of_the_log_and_of_the_judgement_are_not_tuned_on(training_set: Path) -> None:
    worlds = [replace(WORLD, seed=seed) for seed in (20, 11)]
    with pytest.raises(InvalidConfig, match=r"have the seeds \[11\], which the log or the judgement has"):
        simulated_active_days(training_set, worlds, {10, 11})
    with pytest.raises(InvalidConfig, match="found no worlds"):
        simulated_active_days(training_set, [], {10, 11})


def test_the_whole_of_it_on_a_small_newsroom(training_set: Path, tmp_path: Path) -> None:
    space = space_from_mapping({"model.learning_rate": {"low": 1e-3, "high": 0.3, "log": True}}, SMALL)
    value = simulated_active_days(training_set, [replace(WORLD, seed=20)], {10}, progress=lambda _: None)
    found = tune(SMALL, space, 3, 0, value, tmp_path / "record.jsonl", lambda _: None)
    assert not any(trial.failure for trial in found.trials)
    assert config.to_mapping(found.best)["model"]["learning_rate"] in [
        trial.values["model.learning_rate"] for trial in found.trials
    ]
