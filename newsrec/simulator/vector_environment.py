"""N readers of one simulated newsroom side by side, as gymnasium knows vector environments.

Step, episode, reward, observation, action and info are those of ``newsrec.simulator.environment``, with the
sub-environment as first axis. Each reader is at a time of their own; the world answers all in one call. A
sub-environment is equal to a single environment with the same seed, whichever others run beside it:
``reset(seed=s)`` gives the i-th what ``ReaderEnv.reset(seed=s + i)`` gives. Autoreset is NEXT_STEP, the default of
gymnasium 1 (``newsrec.simulator.episodes``): the step after a truncation ignores the action, has reward 0 and returns
the first observation of the next reader.
"""

from newsrec.catalogue import Catalogue
from newsrec.events import EventLog
from newsrec.reward import RewardConfig
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.environment import ReaderEpisodes
from newsrec.simulator.episodes import EpisodeVectorEnv


class ReaderVectorEnv(EpisodeVectorEnv):
    """``num_envs`` readers of the newsroom ``config``; the other arguments are those of ``ReaderEpisodes``."""

    def __init__(
        self,
        num_envs: int = 1,
        config: SimulationConfig | None = None,
        crowd: EventLog | None = None,
        trained_on: Catalogue | None = None,
        reward: RewardConfig | None = None,
    ) -> None:
        episodes = ReaderEpisodes(config or SimulationConfig(), num_envs, crowd, trained_on, reward)
        super().__init__(episodes, num_envs)
