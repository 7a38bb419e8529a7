"""What runs are tuned by: the ranking of validation decisions, and readers who judge nobody later."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from newsrec import config, dataset, events
from newsrec.config import InvalidConfig
from newsrec.search_space import space_from_mapping
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.lives import live_under
from newsrec.simulator.readers import PopulationConfig
from newsrec.simulator.rollout import Actor, simulate
from newsrec.slate import SlateConfig
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, point_in_time, reader_snapshots
from newsrec.training import RunConfig, TrainingConfig, train
from newsrec.tuning.figures import reader, reader_of, simulated_active_days, validation_ranking
from newsrec.tuning.search import tune
from tests.tuning.test_search import unwatched

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
    value = validation_ranking(reader(training_set), progress=lambda _: None)
    decisions = dataset.read(training_set)
    assert value(SMALL, unwatched) == train(decisions, SMALL, lambda _: None).provenance["validation_ndcg"]
    no_clock = replace(SMALL, use_time=False)
    assert value(no_clock, unwatched) != value(SMALL, unwatched), "features are read again"


def test_several_seeds_count_by_their_mean_and_the_first_is_watched(training_set: Path) -> None:
    seen: list[float] = []
    value = validation_ranking(reader(training_set), 2, lambda _: None)(SMALL, seen.append)
    decisions = dataset.read(training_set)
    made = [train(decisions, replace(SMALL, seed=seed), lambda _: None) for seed in (0, 1)]
    each = [one.provenance["validation_ndcg"] for one in made]
    assert value == pytest.approx(sum(each) / 2)
    assert (len(seen), seen[-1]) == (SMALL.training.epochs, each[0])


def test_a_log_is_read_as_its_training_set_is(training_set: Path) -> None:
    log = events.read(training_set / "log")
    kept = reader_of(log)
    assert kept(SMALL) is kept(replace(SMALL, seed=7)), "made once"
    values = [
        validation_ranking(read, progress=lambda _: None)(SMALL, unwatched)
        for read in (reader(training_set), reader_of(log))
    ]
    assert values[0] == values[1]


def test_active_days_are_those_of_all_readers_of_all_worlds(training_set: Path) -> None:
    worlds = [replace(WORLD, seed=seed) for seed in (20, 21)]
    value = simulated_active_days(
        reader(training_set), worlds, {10, 11}, SlateConfig("epsilon"), progress=lambda _: None
    )
    made = train(dataset.read(training_set), SMALL, lambda _: None)
    actor = Actor(made.policy, SlateConfig("epsilon"), made.name, made.catalogue)  # type: ignore[arg-type]
    total = sum(live_under(world, actor).active_days.sum() for world in worlds)
    assert value(SMALL, unwatched) == pytest.approx(total / 16)


def test_readers_of_the_log_and_of_the_judgement_are_not_tuned_on(training_set: Path) -> None:
    worlds = [replace(WORLD, seed=seed) for seed in (20, 11)]
    with pytest.raises(InvalidConfig, match=r"have the seeds \[11\], which the log or the judgement has"):
        simulated_active_days(reader(training_set), worlds, {10, 11})
    with pytest.raises(InvalidConfig, match="found no worlds"):
        simulated_active_days(reader(training_set), [], {10, 11})


def test_the_whole_of_it_on_a_small_newsroom(training_set: Path, tmp_path: Path) -> None:
    space = space_from_mapping({"model.learning_rate": {"low": 1e-3, "high": 0.3, "log": True}}, SMALL)
    value = simulated_active_days(reader(training_set), [replace(WORLD, seed=20)], {10}, progress=lambda _: None)
    found = tune(SMALL, space, 3, 0, value, tmp_path / "record.jsonl", lambda _: None)
    assert not any(trial.failure for trial in found.trials)
    assert config.to_mapping(found.best)["model"]["learning_rate"] in [
        trial.values["model.learning_rate"] for trial in found.trials
    ]
