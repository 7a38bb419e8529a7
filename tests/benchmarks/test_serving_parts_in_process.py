"""Parts of the benchmark of serving that need no server of ours: they run, and find what is known."""

import shutil

import pytest

from benchmarks.serving import catalogue, inference, memory

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server not found")


@pytest.mark.slow
def test_a_whole_catalogue() -> None:
    """The search of all articles misses none of the best, at any size; a rule that looks at no reader does."""
    size = catalogue.Size(whole=600, large=800, indexed=1_000, shortlists=(20, 100), readers=2, slates=3)
    part = catalogue.measure(size)
    recall = part.figures["catalogue"]["recall"]
    assert all(recall[n][name]["20"] == 1.0 for n in ("600", "800") for name in ("transformer", "dwell"))
    assert min(of["newest and most clicked 500"] for of in recall["800"].values()) < 1.0
    assert part.figures["catalogue"]["milliseconds"].keys() == {"100", "600", "800", "1,000"}
    assert [bar.met for bar in part.bars][1]


@pytest.mark.slow
@needs_redis
def test_memory() -> None:
    """A packed reader has 704 + 259 bytes at least, and impressions add 512."""
    figures = memory.measure(memory.Size(readers=2_000, timed=50)).figures["memory"]
    bytes_ = {name: of["bytes_a_reader"] for name, of in figures.items() if name != "microseconds"}
    assert 963 < bytes_["compact, without impressions"] < bytes_["default, without impressions"]
    assert 300 < bytes_["compact, with impressions"] - bytes_["compact, without impressions"] < 700


@pytest.mark.slow
@needs_redis
def test_inference() -> None:
    """The same slates by all three methods, and vectors and slates take at least their bytes."""
    found = inference.measure(inference.Size(slates=5)).figures["inference"]
    assert found["request"]["same_slates"]["share"] == 1.0
    assert found["in_advance"]["nearline"]["bytes"] > 256
    assert found["in_advance"]["batch"]["bytes"] > 12 * 100
