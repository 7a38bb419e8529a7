"""Follows what is released and which experiments are stopped, while the predictor answers.

A new current release is loaded and tried in this thread, then swapped in at once; requests in flight end with the one
they began with. A release that cannot be served is refused with its reason and the old one goes on. Changed shares of a
mixture are a release like any other; the kill switch is not, and takes effect within a second or two.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from prometheus_client import Counter, Gauge

from feature_repo.store import FeatureStoreError, Store
from newsrec import releases, stopped_experiments
from newsrec.artifact import Artifact, InvalidArtifact
from newsrec.event_log import EventDatabase
from newsrec.mixture import Mixture
from newsrec.releases import Release
from serving.bundle import Bundle
from serving.failures import EVENT_LOG_FAILURES, one_line

POLL_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""After a release was refused; it may have been because of something else."""
RELOADS = Counter("newsrec_reloads", "Releases that became current while the predictor ran", ["outcome"])
RELEASE = Gauge("newsrec_release", "1 for the release that is served, 0 for those before it", ["version"])
STOPPED = Gauge(
    "newsrec_experiment_stopped", "1 while everybody has the incumbent of the served mixture", ["experiment"]
)

log = logging.getLogger(__name__)


class Serves(Protocol):
    """The predictor, as far as it is known here."""

    bundle: Bundle

    def adopt(self, bundle: Bundle) -> None: ...


class Follower(threading.Thread):
    """Looks each second, until ``stop``.

    ``root`` is the folder of the releases; without it the kill switch alone is followed. ``make`` makes the bundle of
    what a release holds; ``store`` tells whether it can serve that.
    """

    def __init__(
        self,
        model: Serves,
        database: EventDatabase,
        store: Store,
        make: Callable[[Artifact | Mixture], Bundle],
        root: Path | None,
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._model, self._database, self._store, self._make, self._root = model, database, store, make, root
        self._refused, self._again_at, self._blind = "", 0.0, False
        self._stopped = threading.Event()
        RELEASE.labels(model.bundle.released.version).set(1)

    def look(self) -> None:
        """Take what is new; what cannot be had now is logged, counted and tried again later."""
        try:
            self._follow_switch()
            self._blind = False
        except EVENT_LOG_FAILURES as error:
            if not self._blind:
                log.warning("whether the experiment is stopped cannot be read, it stays as it is: %s", one_line(error))
            self._blind = True
        if self._root is not None:
            self._follow_release(self._root)

    def _follow_switch(self) -> None:
        bundle = self._model.bundle
        experiment = bundle.arms.experiment
        if experiment is None:
            return
        stopped = experiment in stopped_experiments.stopped(self._database.engine)
        STOPPED.labels(experiment).set(stopped)
        if stopped != bundle.arms.stopped:
            self._model.adopt(replace(bundle, arms=replace(bundle.arms, stopped=stopped)))
            log.warning("%s is served from now on", self._model.bundle.arms)

    def _follow_release(self, root: Path) -> None:
        served, name = self._model.bundle.released.version, "CURRENT"
        try:
            release = releases.current(root)
            if release is None or release.version == served:
                self._refused = ""
                return
            name = release.version
            if name == self._refused and time.monotonic() < self._again_at:
                return
            bundle = self._load(release)
        except (FeatureStoreError, InvalidArtifact, OSError, *EVENT_LOG_FAILURES) as error:
            self._refuse(name, one_line(error))
        except Exception as error:  # a policy that cannot make a slate must not end this thread
            self._refuse(name, f"{type(error).__name__}: {one_line(error)}")
        else:
            self._adopt(bundle)

    def _load(self, release: Release) -> Bundle:
        released = releases.load(release.directory)
        if released.version != release.version:
            raise InvalidArtifact(f"{release.directory} holds {released.version}, expected {release.version}")
        bundle = self._make(released)
        if misfit := bundle.misfit(self._store):
            raise InvalidArtifact(misfit)
        experiment = bundle.arms.experiment
        stopped = experiment is not None and experiment in stopped_experiments.stopped(self._database.engine)
        return replace(bundle, arms=replace(bundle.arms, stopped=stopped))

    def _adopt(self, bundle: Bundle) -> None:
        before = self._model.bundle
        self._model.adopt(bundle)
        gc.freeze()  # else a full collection would walk the new bundle, too, and hold requests up
        RELOADS.labels("adopted").inc()
        RELEASE.labels(before.released.version).set(0)
        RELEASE.labels(bundle.released.version).set(1)
        if before.arms.experiment is not None:
            STOPPED.labels(before.arms.experiment).set(0)
        if bundle.arms.experiment is not None:
            STOPPED.labels(bundle.arms.experiment).set(bundle.arms.stopped)
        log.info("%s is served from now on, instead of %s", bundle.arms, before.released.version)

    def _refuse(self, name: str, reason: str) -> None:
        if name != self._refused:
            RELOADS.labels("refused").inc()
            log.error("release %s is refused, %s goes on: %s", name, self._model.bundle.released.version, reason)
        self._refused, self._again_at = name, time.monotonic() + RETRY_SECONDS

    def run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            self.look()

    def stop(self) -> None:
        """Returns while a release may still be loading."""
        self._stopped.set()
        self.join(POLL_SECONDS)
