"""Small studies for the tests."""

from typing import Any

from newsrec import config
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
