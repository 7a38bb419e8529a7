"""How much is simulated, learnt and played."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Of every part; readers and days in simulated worlds."""

    contenders: tuple[str, ...] = ()
    """Of configs/compare/retention.toml; empty: all of them."""
    trials: int = 8
    """Of tuning, for each contender; 0: all are as in the file."""
    tuning_seed: int = 1_000
    tuning_log_readers: int = 1_200
    tuning_readers: int = 1_000
    """Played after each trial."""
    tuning_days: int = 10
    """That they are played: the one place where active days are counted for less than ``days``."""
    epochs: int = 3
    """Of every training."""
    log_readers: int = 4_000
    log_days: int = 14
    small_share: float = 0.1
    """Of the readers of a log, and so of its interactions: what an imitator and a new market have."""
    readers: int = 2_000
    """Played with each training seed. What is known of an article comes from who else read it: few readers are a small
    site, where no policy knows much."""
    days: int = 28
    screening_seeds: tuple[int, ...] = (1, 2, 3)
    fresh_seeds: tuple[int, ...] = (11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
    """Of the finalists, and of the two best in all worlds."""
    further_seeds: tuple[int, ...] = (11, 12, 13, 14)
    """Of what has trainings of its own: offline and online, imitation, transfer, distillation."""
    online_rounds: int = 2
    """Logs that the online learner collects itself, each as large as the one it started from."""
    tabular_seeds: tuple[int, ...] = (0, 1, 2)
    tabular_steps: int = 400

    @property
    def small_log_readers(self) -> int:
        return max(2, round(self.small_share * self.log_readers))


FULL = Size()
BRIEF = Size(
    contenders=(
        *("transformer", "dwell", "ease", "als", "bpr", "lightgcn", "sasrec", "nrms", "pp_rec"),
        *("dqn", "policy_gradient", "iql"),
    ),
    trials=0,
    screening_seeds=(1,),
    fresh_seeds=(11, 12, 13, 14, 15),
    further_seeds=(11, 12, 13),
)
"""The same parts with fewer seeds and contenders, as they stand in the file."""
QUICK = Size(
    contenders=("transformer", "dwell", "dqn", "cql"),
    trials=2,
    tuning_log_readers=60,
    tuning_readers=20,
    tuning_days=4,
    epochs=1,
    log_readers=100,
    log_days=4,
    small_share=0.6,
    readers=20,
    days=4,
    screening_seeds=(1,),
    fresh_seeds=(11,),
    further_seeds=(11,),
    online_rounds=1,
    tabular_seeds=(0,),
    tabular_steps=20,
)
