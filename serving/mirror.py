"""What is released, brought from the object store into a folder: for a collector that shares no volume with it.

KServe copies one release beside the predictor before it starts. The collector outlives releases and takes feedback
before the first one: it looks for itself, and until there is a release readers have no vectors.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from feature_repo.store import FeatureStoreError, ReaderVector
from newsrec import releases
from newsrec.artifact import InvalidArtifact
from newsrec.release_storage import DeploymentFailed, fetch
from serving.failures import EVENT_LOG_FAILURES, one_line
from serving.live_articles import Refresher
from serving.reload import Follower
from serving.tower import Before, Tower

LOOK_SECONDS = 10.0
Made = tuple[Tower, list[Refresher | Follower]]

log = logging.getLogger(__name__)


class Mirror(threading.Thread):
    """Keeps the releases folder ``root`` equal to ``storage`` until ``stop``, and is the tower of what is current.

    ``make`` makes a tower of the folder once it has a release, and the threads that keep the tower up to date. What
    cannot be had is logged, once for each reason, and tried again; the release that was there goes on.
    """

    def __init__(self, storage: str, root: Path, make: Callable[[Path], Made]) -> None:
        super().__init__(name="mirror", daemon=True)
        self._storage, self._root, self._make = storage, root, make
        self._tower: Tower | None = None
        self._threads: list[Refresher | Follower] = []
        self._failure, self._stopped = "", threading.Event()

    def vector(self, user_id: str, row: Mapping[str, Any], before: Before) -> ReaderVector | None:
        """As of Tower; None before the first release."""
        return None if self._tower is None else self._tower.vector(user_id, row, before)

    def look(self) -> None:
        """Take what is new."""
        try:
            fetch(self._storage, self._root)
            if self._tower is None and releases.current(self._root) is not None:
                self._tower, self._threads = self._make(self._root)
                for thread in self._threads:
                    thread.start()
                log.info("readers' vectors are of %s", self._tower.bundle.arms)
            self._failure = ""
        except (InvalidArtifact, DeploymentFailed, FeatureStoreError, OSError, *EVENT_LOG_FAILURES) as error:
            if (failure := one_line(error)) != self._failure:
                log.warning("releases of %s cannot be had, what was there goes on: %s", self._storage, failure)
            self._failure = failure

    def run(self) -> None:
        self.look()
        while not self._stopped.wait(LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        """Returns while a release may still be fetched."""
        self._stopped.set()
        if self.is_alive():
            self.join(1.0)
        for thread in self._threads:
            thread.stop()
