"""What Redis is told in the manifests keeps a reader with everything that is ever stored of them in one block."""

import numpy as np
import yaml
from redis import Redis

from benchmarks.serving import memory
from feature_repo.store import create_store
from tests.conftest import ROOT


def told_in_the_manifests() -> int:
    """``hash-max-listpack-value`` of the Redis in ``manifests/base``."""
    objects = yaml.safe_load_all((ROOT / "manifests" / "base" / "redis.yaml").read_text())
    (server,) = (o for o in objects if o["kind"] == "StatefulSet")
    (container,) = server["spec"]["template"]["spec"]["containers"]
    options = dict(option.split(maxsplit=1) for option in container["args"] if option.startswith("--"))
    return int(options["--hash-max-listpack-value"])


def test_a_reader_is_one_block(redis_server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NEWSREC_REDIS", redis_server)
    host, port = redis_server.split(":")
    server, draw = Redis(host, int(port)), np.random.default_rng(0)
    store = create_store(tmp_path / "store")
    usual = server.config_get("hash-max-listpack-value")
    try:
        encodings = {}
        for name, limit in (("usual", 64), ("told", told_in_the_manifests())):
            server.config_set("hash-max-listpack-value", limit)
            store.write_reader(name, memory._row(draw, impressions=True), memory.NOW)
            store.write_vectors([(name, memory._vector(draw), memory.NOW)])
            (key,) = server.scan_iter(f"*{name}*")
            encodings[name] = server.object("encoding", key)
    finally:
        server.config_set("hash-max-listpack-value", usual["hash-max-listpack-value"])
    assert encodings == {"usual": b"hashtable", "told": b"listpack"}
    assert told_in_the_manifests() == memory.COMPACT
