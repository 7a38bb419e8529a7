"""Tuning finds better values, gives up what is behind, and goes on where it was stopped."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from newsrec.config import InvalidConfig
from newsrec.search_space import Space, space_from_mapping
from newsrec.training import RunConfig, Watch
from newsrec.tuning.search import RANDOM_TRIALS, WHOLE_EPOCHS, Tuned, Value, table, tune

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


def unwatched(score: float) -> None:
    """Gives nothing up."""


def peak(run: RunConfig, watch: Watch = unwatched) -> float:
    """Best, 0, at a learning rate of 3e-3, an alpha of 2 and 8 epochs of two steps; the defaults have -3.2."""
    rate, alpha = math.log10(run.model["learning_rate"] / 3e-3), run.model["alpha"] - 2.0
    return -4.0 * rate**2 - 0.25 * alpha**2 - ((run.training.epochs - 8) / 12) ** 2 - 0.5 * (run.steps != 2)


def search(trials: int = 8, seed: int = 0, value: Value = peak, **more: object) -> Tuned:
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
        RUN, SPACE, 8, 0, lambda run, watch: float(run.training.epochs == 20), progress=lambda _: None
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

    def stopped_in_the_fourth(run: RunConfig, watch: Watch) -> float:
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
    def refused(run: RunConfig, watch: Watch) -> float:
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
    with pytest.raises(InvalidConfig, match=r"is the record of another search .* run, space, seed or judgement differ"):
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
    def diverging(run: RunConfig, watch: Watch) -> float:
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
    found = tune(run, space, 10, 0, lambda made, watch: made.model["network"]["width"], progress=lambda _: None)
    assert any("expected a multiple of the 4 heads" in trial.failure for trial in found.trials)
    assert found.best.model["network"] == {"width": 66, "heads": 2}


def test_where_everything_fails_there_is_no_best() -> None:
    def failing(run: RunConfig, watch: Watch) -> float:
        raise InvalidConfig("the log is too small")

    with pytest.raises(InvalidConfig, match="cql: all 3 trials failed, the first one because the log is too small"):
        search(3, value=failing)
    with pytest.raises(InvalidConfig, match="trials is 0, expected 1 or more"):
        search(0)


def test_a_mistake_in_the_figure_is_no_failed_trial() -> None:
    with pytest.raises(ZeroDivisionError):
        search(value=lambda run, watch: 1 / 0)


def test_the_table_has_the_best_trial_on_top() -> None:
    found = search()
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(found))
    rows = [line for line in capture.get().splitlines() if line.startswith("│")]
    assert len(rows) == 8
    assert f"{max(trial.value for trial in found.trials):.4g}" in rows[0]


def curve(run: RunConfig, watch: Watch) -> float:
    """Ten epochs on the way to what ``peak`` says of the run; only those of learning rates above .004 fall behind."""
    last = peak(run)
    for epoch in range(1, 11):
        watch(last - 100.0 / epoch * (run.model["learning_rate"] > 4e-3))
    return last


def test_a_training_that_is_behind_the_others_is_given_up(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    found = search(24, value=curve, record=record)
    given_up = [number for number, trial in enumerate(found.trials) if trial.given_up]
    assert given_up, "some are"
    assert min(given_up) >= RANDOM_TRIALS
    for trial in found.trials:
        assert len(trial.epochs) == 10 or (trial.given_up and WHOLE_EPOCHS <= len(trial.epochs) < 10)
    assert len(found.trials) == 24, "and counts"
    assert found.best_trial.value == max(trial.value for trial in found.trials if not trial.given_up)
    assert search(24, value=curve) == found

    def refused(run: RunConfig, watch: Watch) -> float:
        raise AssertionError("nothing is left to try")

    assert search(24, value=refused, record=record) == found, "what the watch saw is told again, too"
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(found))
    assert capture.get().count("given up") == len(given_up)


def test_what_was_given_up_is_never_the_best() -> None:
    def misleading(run: RunConfig, watch: Watch) -> float:
        """Those whose first epochs are the worst would end as the best."""
        rate = run.model["learning_rate"]
        for epoch in range(1, 11):
            watch(-rate * 1000 + epoch)
        return rate

    found = search(16, value=misleading)
    assert any(trial.given_up for trial in found.trials)
    assert not found.best_trial.given_up
    assert found.best.model["learning_rate"] == found.best_trial.values["model.learning_rate"]


def test_numbers_that_are_tried_are_short() -> None:
    for trial in search(12).trials[1:]:
        for key in ("model.learning_rate", "model.alpha"):
            assert trial.values[key] == float(f"{trial.values[key]:.3g}")


def test_a_record_of_another_judgement_is_refused(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    search(2, record=record, judged_by="log a")
    with pytest.raises(InvalidConfig, match="is the record of another search"):
        search(2, record=record, judged_by="log b")
