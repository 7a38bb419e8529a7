"""All that one release needs to answer requests, made away from them and swapped in whole.

A request takes the current bundle once and answers from it alone, so policy, articles and version always belong
together, whatever is swapped in meanwhile.
"""

from dataclasses import dataclass

from feature_repo.store import Store
from newsrec.artifact import Artifact
from newsrec.features import HOUR
from newsrec.mixture import Mixture
from serving.arms import Arms
from serving.backends import Backends
from serving.live_articles import LiveArticles, Sight
from serving.recommend import ServingConfig, Visit, recommend
from serving.schema import SlateRequest
from serving.stored_readers import unknown_reader


@dataclass(frozen=True)
class Bundle:
    """A release, its arms, and the articles that they choose from."""

    released: Artifact | Mixture
    arms: Arms
    live: LiveArticles
    """A shelf for each of ``arms.all``, kept up to date by the refresher while this is the current bundle."""

    @property
    def articles(self) -> int:
        """How many there are."""
        return len(self.live.shelves[0].catalogue.ids) - 1

    def misfit(self, store: Store) -> str | None:
        """Why ``store`` cannot serve this release: it holds other features than the policy was trained on."""
        found, expected = store.feature_hash(), self.released.feature_hash
        if found == expected:
            return None
        return f"The store has features {found}, the artefact expects {expected}; serve another artefact."


def make_bundle(released: Artifact | Mixture, backends: Backends, config: ServingConfig) -> Bundle:
    """The bundle of ``released``, its first slates made, so that no reader waits for lazy set-up.

    Takes seconds and may run in any thread; raises what event log and feature store raise.
    """
    arms = Arms(released)
    artifacts = [arm.artifact for arm in arms.all]
    sight = Sight(artifacts, int(config.shelf_life_hours * HOUR), config.retrieval)
    live = LiveArticles([artifact.catalogue for artifact in artifacts], backends, sight)
    now = backends.clock()
    nobody = Visit(SlateRequest(user_id="nobody"), "warm-up", "nobody", unknown_reader(), False, now)
    for arm in arms.all:
        recommend(nobody, live.shelves[arm.shelf], arm.artifact, config, b"")
    return Bundle(released, arms, live)
