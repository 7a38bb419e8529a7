"""Sources to logs on disk: each kind is read, embeddings are filled, nothing is written for a bad source."""

import json
from pathlib import Path

import numpy as np
import pytest

from newsrec import events
from newsrec.config import InvalidConfig, to_mapping
from newsrec.encoders.text import embed
from newsrec.event_log import EventDatabase
from newsrec.events import EventLog, InvalidEvents
from newsrec.features import EMBEDDING_DIM
from newsrec.ingestion import ingest, simulate_to
from newsrec.simulator.config import SimulationConfig
from newsrec.simulator.readers import PopulationConfig
from tests.event_rows import NOON, article, event, recommendation

OWN = [0.0] * (EMBEDDING_DIM - 1) + [1.0]
ARTICLES = [article("a", title="Snow in May"), article("b", embedding=OWN), article("c")]
CONFIG = SimulationConfig(readers=8, days=1, seed=3, population=PopulationConfig(visits_per_day=3.0))


def check(directory: Path) -> EventLog:
    """The log in ``directory``, after a look at its embeddings."""
    log = events.read(directory)
    rows = {row["article_id"]: row["embedding"] for row in log.articles.to_pylist()}
    np.testing.assert_array_equal(rows["a"], embed(["Snow in May"], [None], [None])[0])
    assert rows["b"] == OWN
    assert rows["c"] == [0.0] * EMBEDDING_DIM
    assert log.recommendations["request_id"].to_pylist() == ["r"]
    assert log.feedback["event_id"].to_pylist() == ["e"]
    return log


def test_an_event_log_gets_the_embeddings_that_it_lacks(tmp_path: Path) -> None:
    feedback = events.from_rows("feedback", [event("e", received_at=NOON + 9)])
    recommendations = events.from_rows("recommendations", [recommendation("r")])
    log = EventLog(events.from_rows("articles", ARTICLES), recommendations, feedback, frozenset({events.FIRST_SIGHT}))
    events.write(log, tmp_path / "source")
    out = ingest(f"events:{tmp_path / 'source'}", tmp_path / "out")
    assert check(out).flags == {events.FIRST_SIGHT}


def test_a_database_is_exported_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    database = EventDatabase(url)
    database.upsert_articles(ARTICLES, NOON)
    database.append_recommendations([recommendation("r")], NOON)
    database.append_feedback([event("e")], NOON + 9)
    database.close()
    log = check(ingest(f"log:{url}", tmp_path / "out"))
    assert events.microseconds(log.feedback["received_at"]).tolist() == [NOON + 9]


def test_naive_times_are_local_to_the_timezone(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item,timestamp\nann,a,2024-05-01 12:00:00\n")
    log = events.read(ingest(f"interactions:{tmp_path / 'log.csv'}", tmp_path / "out", "Asia/Tokyo"))
    assert str(log.feedback["time"][0]) == "2024-05-01 03:00:00+00:00"
    (tmp_path / "behaviors.tsv").write_text("1\tann\t11/14/2019 9:00:00 AM\tN1\tN3-0 N4-1\n")
    (tmp_path / "news.tsv").write_text("N3\tnews\tworld\tSnow\t\t\t[]\t[]\n")
    log = events.read(ingest(f"mind:{tmp_path}", tmp_path / "mind", "UTC"))
    assert log.articles["embedding"].null_count == 0


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("mind", InvalidConfig, "source is 'mind', expected simulated or one of mind:PATH, ebnerd:PATH"),
        ("mind:", InvalidConfig, "source is 'mind:'"),
        ("netflix:x", InvalidConfig, "log:URL"),
        ("events:{root}/none", FileNotFoundError, "articles.parquet is missing"),
        ("log:sqlite:///{root}/none.db", FileNotFoundError, "none.db does not exist"),
        ("log:mysql://x/y", InvalidConfig, "expected sqlite:///FILE or postgresql://USER@HOST/NAME"),
        ("log:sqlite:///{root}/empty.db", InvalidEvents, "found no recommendation, expected a log with decisions"),
    ],
)
def test_a_bad_source_is_refused_and_nothing_is_written(
    tmp_path: Path, source: str, error: type[Exception], message: str
) -> None:
    EventDatabase(f"sqlite:///{tmp_path / 'empty.db'}").close()
    with pytest.raises(error, match=message):
        ingest(source.format(root=tmp_path), tmp_path / "out")
    assert not [path.name for path in tmp_path.iterdir() if not path.name.startswith("empty.db")]


def test_the_same_configuration_gives_the_same_bytes(tmp_path: Path) -> None:
    """As an object, or as JSON that leaves the defaults out or spells them out."""
    short = {"readers": 8, "days": 1, "seed": 3, "population": {"visits_per_day": 3.0}}
    logs = [
        simulate_to(config, tmp_path / str(n))
        for n, config in enumerate((CONFIG, json.dumps(short), json.dumps(to_mapping(CONFIG))))
    ]
    assert events.read(logs[0]).recommendations.num_rows > 10
    files = [sorted(path.relative_to(log) for path in log.rglob("*.parquet")) for log in logs]
    assert files[0] == files[1] == files[2]
    for file in files[0]:
        assert len({(log / file).read_bytes() for log in logs if (log / file).is_file()}) <= 1, file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("readers = 8", "is no JSON"),
        ("[8]", r"\[8\], expected an object"),
        ('{"reader": 8}', "unknown key reader; did you mean readers"),
        ('{"readers": 1, "days": 1}', "1 readers asked for nothing in 1 days; expected more readers"),
    ],
)
def test_a_bad_simulation_is_refused_and_nothing_is_written(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        simulate_to(text, tmp_path / "out")
    assert not list(tmp_path.iterdir())
