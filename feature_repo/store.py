"""The feature store: one folder that gives training rows as of a moment and serves the latest ones online.

    ROOT/registry.db              Feast's registry
    ROOT/offline/VIEW.parquet     every snapshot of every reader (reader_vN) and article (article_vN)
    ROOT/online_store.db          the latest rows, unless NEWSREC_REDIS=host:port names a Redis that holds them

``create_store``, then ``write_offline``, ``training_rows`` and ``materialize`` in the pipeline; ``open_store``, then
``readers``, ``articles`` and the two writes in serving. A stored row is only ever replaced by a newer one. One Redis
holds one store. Feast takes seconds to import: import this module before the first request, not in it.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.infra.provider import get_provider

from feature_repo import repository
from feature_repo.erasure import alone, erase_offline
from feature_repo.errors import FeatureStoreError, FeatureStoreMissing, MaterialisationFailed
from feature_repo.materialising import bring_up, entity_ids
from feature_repo.online import microseconds as microseconds_of
from feature_repo.served import Served, moment
from feature_repo.slate import ReaderSlate, scored
from feature_repo.vector import ReaderVector, made_of
from feature_repo.views import EVENT_TIME, HASH_TAG
from newsrec import events, tombstones
from newsrec.events import EventLog, microseconds
from newsrec.files import whole_directory, write_whole
from newsrec.snapshots import article_moments, article_snapshots, decision_moments, reader_snapshots
from newsrec.tombstones import Tombstones


class Materialisation(NamedTuple):
    """What is online after ``materialize``; every row was read back."""

    readers: int
    """Readers with offline rows up to ``until``: each is online, as new as offline or newer."""
    articles: int
    moved: int
    """Online rows of both kinds that were missing or older before."""
    until: datetime


class Forgotten(NamedTuple):
    """Rows of one reader, or of several, that are gone from the store."""

    offline: int
    online: int


def create_store(root: str | Path) -> "Store":
    """The feature store in ``root``, made or brought up to this code's views.

    Raises FeatureStoreMismatch where its views of this version hold other features, and FeatureStoreMissing.
    """
    repository.apply(Path(root).absolute())
    return open_store(root)


def open_store(root: str | Path, timeout_seconds: float | None = None) -> "Store":
    """The feature store that ``create_store`` made in ``root``. Raises FeatureStoreMissing and FeatureStoreMismatch.

    ``timeout_seconds`` is how long the online store may take for one answer, by default as long as a pipeline waits.
    With it, the online store is not asked before the first read.
    """
    root = Path(root).absolute()
    if not (root / "registry.db").exists():
        raise FeatureStoreMissing(f"no feature store in {root}; run the training pipeline, which makes one")
    return Store(root, timeout_seconds)


class Store:
    """An open feature store, safe for several threads and processes. Rows hold moments as int microseconds."""

    def __init__(self, root: Path, timeout_seconds: float | None = None) -> None:
        self.root = root
        self._feast = repository.connect(root, timeout_seconds)
        self._provider = provider = get_provider(self._feast.config)
        services = {s.name: s for s in self._feast.list_feature_services()}
        if not {"reader", "article"} <= services.keys():
            raise FeatureStoreMissing(f"the registry in {root} lacks the services reader and article; create the store")
        self._reader, self._article = (Served(self._feast, provider, services[n]) for n in ("reader", "article"))
        known = services.get("reader_vector")  # a store of older code lacks it
        self._vector = None if known is None else Served(self._feast, provider, known)
        known = services.get("reader_slate")
        self._slate = None if known is None else Served(self._feast, provider, known)
        repository.refuse_other_hash(root, self._reader.service.tags.get(HASH_TAG))
        if timeout_seconds is None:
            self.readers([""])  # an online store that does not answer is found here; who is in a hurry finds it later

    def feature_hash(self) -> str:
        """The hash of the features that the store was made for."""
        return self._reader.service.tags[HASH_TAG]

    def write_offline(self, log: EventLog) -> None:
        """Replace the offline snapshots by those of ``log``, in one step. Forgotten readers are left out."""
        with alone(self.root), whole_directory(self.root / "offline") as partial:
            log = tombstones.read(self.root).without(log)
            for served, snapshots in ((self._reader, reader_snapshots(log)), (self._article, article_snapshots(log))):
                stamped = snapshots.append_column(EVENT_TIME, snapshots["event_timestamp"].cast(pa.int64()))
                pq.write_table(stamped, partial / f"{served.view.name}.parquet")

    def offline_until(self) -> int:
        """The newest arrival in the offline rows of readers, microseconds; 0 where there is none."""
        path = self.root / "offline" / f"{self._reader.view.name}.parquet"
        if not path.exists():
            return 0
        return int(microseconds(pq.read_table(path, columns=["event_timestamp"])["event_timestamp"]).max(initial=0))

    def training_rows(self, log: EventLog, out: str | Path) -> Path:
        """The training set ``out``: log/, readers.parquet and articles.parquet, as ``newsrec.dataset.read`` takes it.

        Features are what ``write_offline`` holds as of each decision of ``log``; null for a reader or article that
        was not known yet. Forgotten readers are left out. ``out`` appears whole.
        """
        log = tombstones.read(self.root).without(log)
        readers = self._as_of(decision_moments(log), self._reader)
        articles = self._as_of(article_moments(log), self._article)
        with whole_directory(out) as partial:
            events.write(log, partial / "log")
            pq.write_table(readers, partial / "readers.parquet")
            pq.write_table(articles, partial / "articles.parquet")
        return Path(out)

    def _as_of(self, moments: pa.Table, served: Served) -> pa.Table:
        """``moments`` with the features of ``served`` at each: Feast's join, put back into order by row_id."""
        stored = pq.read_schema(self._offline(served))
        job = self._feast.get_historical_features(entity_df=moments.to_pandas(), features=served.service)
        joined = job.to_arrow()
        at = pc.index_in(moments["row_id"], value_set=joined["row_id"].combine_chunks())
        if joined.num_rows != moments.num_rows or at.null_count:
            found = f"{joined.num_rows} rows for {moments.num_rows} moments, {at.null_count} moments missing"
            raise FeatureStoreError(f"Feast's join of {served.view.name} returned {found}; expected each moment once")
        for name in served.features:
            moments = moments.append_column(name, joined[name].take(at).cast(stored.field(name).type))
        return moments

    def materialize(self, until: datetime) -> Materialisation:
        """Bring the online rows up to the offline rows of ``until``, then count them and check how new they are.

        Only what lags behind is moved, in batches. Rows that the collector has written since stay. Raises
        MaterialisationFailed.
        """
        found = {}
        for served in (self._reader, self._article):
            with alone(self.root):
                found[served.key] = bring_up(served, self._offline(served), microseconds_of(until))
        readers, articles = found["user_id"], found["article_id"]
        if not articles.rows:
            raise MaterialisationFailed(f"no article has an offline row up to {until}; expected a later moment")
        return Materialisation(readers.rows, articles.rows, readers.lagged + articles.lagged, until)

    def _offline(self, served: Served) -> Path:
        """The Parquet file behind ``served``; the registry must mean the same file."""
        path, known = self.root / "offline" / f"{served.view.name}.parquet", served.view.batch_source.path
        if str(path) != known:
            raise FeatureStoreMissing(f"the store in {self.root} was made with {known}; run create_store on it again")
        if not path.exists():
            raise FeatureStoreMissing(f"{path} is missing; write_offline makes it")
        return path

    def readers(self, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """READER_FEATURES and event_timestamp of each reader, in order; None throughout for an unknown one.

        Raises FeatureStoreMissing where the online store does not answer.
        """
        return self._reader.read(user_ids)

    def reader_times(self, user_ids: Sequence[str]) -> list[int | None]:
        """Only the event_timestamp of each reader's row. Raises FeatureStoreMissing."""
        return self._reader.event_times(user_ids)

    def readers_and_vectors(self, user_ids: Sequence[str]) -> list[tuple[dict[str, Any], ReaderVector | None]]:
        """``readers``, each with the vector that was made of this very row, None where there is none; read together.

        Raises FeatureStoreMissing.
        """
        if self._vector is None:
            return [(row, None) for row in self.readers(user_ids)]
        return [(row, made_of(row, vector)) for row, vector in self._reader.beside(self._vector, user_ids)]

    def write_vector(self, user_id: str, vector: ReaderVector, event_timestamp: int) -> bool:
        """Store what was made of the reader's row of ``event_timestamp``; False where one of a newer row is there."""
        return self.write_vectors([(user_id, vector, event_timestamp)]) == 1

    def write_vectors(self, vectors: Iterable[tuple[str, ReaderVector, int]]) -> int:
        """``write_vector`` for many; how many were stored. Raises FeatureStoreMissing, also where the view is."""
        rows = [{**vector._asdict(), "user_id": user, "event_timestamp": time} for user, vector, time in vectors]
        return self._vectors().write(rows)

    def _vectors(self) -> Served:
        if self._vector is None:
            raise FeatureStoreMissing(f"the store in {self.root} has no reader vectors; run create_store on it again")
        return self._vector

    def reader_ids(self) -> Iterator[list[str]]:
        """The readers with offline rows, in order, some at a time, however many there are."""
        return entity_ids(self._reader, self._offline(self._reader))

    def readers_and_slates(self, user_ids: Sequence[str]) -> list[tuple[dict[str, Any], ReaderSlate | None]]:
        """``readers``, each with what was scored for them in advance, read in one question."""
        if self._slate is None:
            return [(row, None) for row in self.readers(user_ids)]
        return [(row, scored(slate)) for row, slate in self._reader.beside(self._slate, user_ids)]

    def write_slates(self, slates: Mapping[str, ReaderSlate]) -> int:
        """Store what was scored by user_id; how many were stored. Raises FeatureStoreMissing, also where the view is.

        What was made before its reader was forgotten is left out, and what was made before what stands there.
        """
        if self._slate is None:
            raise FeatureStoreMissing(f"the registry in {self.root} has no view of readers' slates; create the store")
        with alone(self.root):
            known = tombstones.read(self.root)
            kept = {i: slate for i, slate in slates.items() if (known.forgotten_at(i) or 0) < slate.made_at}
            rows = [{**slate._asdict(), "user_id": i, "event_timestamp": slate.made_at} for i, slate in kept.items()]
            return self._slate.write(rows)

    def erase_readers(self, user_ids: Sequence[str]) -> int:
        """Delete the online rows of the readers, of every view that has readers; how many. Raises FeatureStoreMissing.

        What is written of them afterwards begins anew.
        """
        with self._reader.answering():
            keys = [self._reader.entity_key(user_id) for user_id in user_ids]
            return self._provider.online_store.erase(self._feast.config, keys)

    def forget_readers(self, user_ids: Sequence[str], known: Tombstones) -> "Forgotten":
        """Delete the readers offline and online, once no write to this store brings them back.

        ``known`` are the tombstones of the event log: kept in the store's folder, where ``write_offline`` and
        ``training_rows`` find them. Waits for a materialisation that is running. Raises FeatureStoreMissing.
        """
        with alone(self.root):
            tombstones.add(self.root, known)
            offline = erase_offline(self.root, self._reader.key, user_ids)
            return Forgotten(offline, self.erase_readers(user_ids))

    def articles(self, article_ids: Sequence[str]) -> list[dict[str, Any]]:
        """ARTICLE_FEATURES and event_timestamp of each article, as ``readers``."""
        return self._article.read(article_ids)

    @property
    def has_vectors(self) -> bool:
        """Whether there is a view for what is made of readers' rows; a store of older code lacks it."""
        return self._vector is not None

    def write_reader(
        self, user_id: str, row: Mapping[str, Any], event_timestamp: int, vector: ReaderVector | None = None
    ) -> bool:
        """Store READER_FEATURES of one reader; False where the store holds a row of this moment or a newer one.

        ``vector`` is what was made of the row: written in the same step, unless one of a newer row is there. Raises
        FeatureStoreMissing.
        """
        rows = [self._reader.stamped(row, event_timestamp)]
        if vector is not None:
            rows.append(self._vectors().stamped(vector._asdict(), event_timestamp))
        return self._reader.write_beside(user_id, rows)[0]

    def write_articles(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Store rows of article_id, event_timestamp and ARTICLE_FEATURES; how many were newer than the stored ones."""
        return self._article.write(list(rows))


def build_training_set(log: str | Path, out: str | Path) -> Path:
    """The training set ``out`` of the event log in the folder ``log``, joined in a store that exists for this alone."""
    read = events.read(log)
    with tempfile.TemporaryDirectory() as folder:
        store = create_store(folder)
        store.write_offline(read)
        return store.training_rows(read, out)


def materialize_training_set(training_set: str | Path, root: str | Path, metrics: str | Path) -> Materialisation:
    """Bring the store in ``root`` (made where missing) up to the last moment of a training set's log.

    A log that ends before what the store holds offline, that of a late run, leaves the offline rows as they are. The
    file ``metrics`` gets the counts as JSON. Raises MaterialisationFailed.
    """
    log = events.read(Path(training_set) / "log")
    store = create_store(root)
    decided, arrived = (
        int(microseconds(c).max(initial=0)) for c in (log.recommendations["time"], log.feedback["received_at"])
    )
    if arrived >= store.offline_until():
        store.write_offline(log)
    done = store.materialize(moment(max(decided, arrived)))
    write_whole(metrics, json.dumps(done._asdict() | {"until": done.until.isoformat()}))
    return done
