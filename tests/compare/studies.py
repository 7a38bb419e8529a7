"""Small studies for the tests, as objects and as files, and what they cost."""

import json
from typing import Any

from newsrec import config
from newsrec.compare.jobs import Job
from newsrec.compare.study import Study

POPULARITY = {"policy": "popularity", "training": {"epochs": 1}}
LOTTERY = {**POPULARITY, "slate": {"method": "plackett_luce", "temperature": 1e6}}
"""What popularity has learnt, drowned in noise: slates at random."""


def study(**differences: Any) -> Study:
    """Two contenders that share their training, one world, no oracles: five jobs of a second or less."""
    values: dict[str, Any] = {
        "baseline": "popularity",
        "contenders": {"popularity": POPULARITY, "lottery": LOTTERY},
        "seeds": [1],
        "readers": 40,
        "days": 2,
        "oracles": False,
        "log": {"readers": 80, "days": 3, "articles_per_day": 20},
    }
    return config.from_mapping(Study, values | differences)


class Free:
    """Costs of a second a job, whatever it is; remembers what it was told."""

    def __init__(self) -> None:
        self.learnt: list[str] = []

    def expected(self, job: Job) -> float:
        return 1.0

    def learn(self, job: Job) -> None:
        self.learnt.append(job.name)


def to_toml(found: Study) -> str:
    """``found``, whose values are plain: a file of it that JSON can write, one line a field."""
    values = json.loads(json.dumps(config.to_mapping(found)))
    return "\n".join(f"{name} = {_inline(value)}" for name, value in values.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_inline(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)
