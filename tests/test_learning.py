"""What training is for: on a simulated log, a policy that knows what a reader read beats popularity, for sure."""

from dataclasses import replace

import numpy as np
import pytest

from newsrec import dataset, events, ingestion, training
from newsrec.artifact import Artifact
from newsrec.decisions import Decisions
from newsrec.judging import JudgingConfig, judge
from newsrec.simulator.config import SimulationConfig
from newsrec.training import RunConfig, TrainingConfig

POLICIES = ("popularity", "matrix_factorization", "transformer")


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Decisions:
    log = ingestion.simulate_to(SimulationConfig(readers=900, days=12, seed=7), tmp_path_factory.mktemp("log") / "log")
    return dataset.from_log(events.read(log))


@pytest.fixture(scope="module")
def trained(decisions: Decisions) -> dict[str, Artifact]:
    """Each after three epochs at most: the lead is there by then."""
    configs = [RunConfig(name, training=TrainingConfig(epochs=3)) for name in POLICIES]
    return {config.policy: training.train(decisions, config, progress=lambda _: None) for config in configs}


def test_knowing_the_reader_beats_popularity(decisions: Decisions, trained: dict[str, Artifact]) -> None:
    """The paired difference on later decisions, its interval by reader."""
    differences = judge(decisions, trained, None, JudgingConfig())["differences"]["popularity"]
    for name in ("matrix_factorization", "transformer"):
        for metric in ("ndcg_at_10", "impression_auc"):
            assert differences[name]["metrics"][metric]["low"] > 0, (name, metric, differences[name]["metrics"][metric])


def test_the_lead_comes_from_the_history(decisions: Decisions, trained: dict[str, Artifact]) -> None:
    """The same policies, asked about readers under the history of somebody else, lose it."""
    generator = np.random.default_rng(0)
    strangers = replace(decisions, readers=decisions.readers.take(generator.permutation(len(decisions))))
    own, other = (judge(d, trained, None, JudgingConfig())["policies"]["transformer"] for d in (decisions, strangers))
    assert other["ndcg_at_10"]["high"] < own["ndcg_at_10"]["low"]
