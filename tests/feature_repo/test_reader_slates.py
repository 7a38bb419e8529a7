"""What was scored for readers in advance: read beside their rows, replaced by newer, never of forgotten readers."""

import numpy as np
import pytest

from feature_repo.errors import FeatureStoreMissing
from feature_repo.slate import ReaderSlate
from feature_repo.store import Store
from newsrec.tombstones import Tombstones, add, reader_hash
from tests.feature_repo.logs import START, random_log
from tests.feature_repo.test_online import READER

OLD, NEW = ReaderSlate(b"old", b"v1", START), ReaderSlate(b"\x00new", b"v2", START + 1)


def test_a_reader_with_what_was_scored_for_them(store: Store) -> None:
    store.write_reader("ann", READER, START)
    assert store.write_slates({"ann": OLD, "bob": NEW}) == 2
    row = READER | {"event_timestamp": START}
    nobody = dict.fromkeys(row)
    assert store.readers_and_slates(["bob", "ann", "eve"]) == [(nobody, NEW), (row, OLD), (nobody, None)]
    assert store.write_slates({"ann": NEW, "bob": OLD}) == 1
    assert [slate for _, slate in store.readers_and_slates(["ann", "bob"])] == [NEW, NEW]


def test_a_slate_from_before_its_reader_was_forgotten_is_not_stored(sqlite_store: Store) -> None:
    add(sqlite_store.root, Tombstones({"salt": {reader_hash("ann", "salt"): START}}))
    assert sqlite_store.write_slates({"ann": OLD, "bob": OLD}) == 1
    assert sqlite_store.readers_and_slates(["ann"])[0][1] is None
    assert sqlite_store.write_slates({"ann": NEW}) == 1


def test_the_readers_that_are_offline(sqlite_store: Store) -> None:
    log = random_log(np.random.default_rng(2))
    with pytest.raises(FeatureStoreMissing, match="write_offline makes it"):
        list(sqlite_store.reader_ids())
    sqlite_store.write_offline(log)
    assert [i for ids in sqlite_store.reader_ids() for i in ids] == sorted(set(log.feedback["user_id"].to_pylist()))
