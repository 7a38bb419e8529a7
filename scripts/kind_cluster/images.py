"""The images that manifests name: of containers, and of those that a controller starts by its settings.

The latter stand in arguments (``--executor-image``, then the name), in variables that are called so, and in ConfigMaps,
as JSON or YAML. What a controller has in its code, no manifest tells.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_ELSEWHERE = re.compile(
    r"(?:--[\w-]*image=|(?:--[\w-]+=)?(?=(?:[\w-]+\.)+[\w-]+(?::\d+)?/[\w./-]+[:@]))([\w./-]+(?::\d+/[\w./-]+)?"
    r"(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?)"
)
"""A whole text that is a flag for an image, or an image's name with its registry and version."""


def named_in(manifests: str) -> list[str]:
    """The names, with whatever version they have, each once and in order."""
    documents = yaml.load_all(manifests, yaml.CSafeLoader)
    things = [thing for thing in documents if thing and thing["kind"] != "CustomResourceDefinition"]
    return sorted({name for thing in things for name in _named(thing)})


def _named(part: Any) -> Iterator[str]:
    match part:
        case {"kind": "ConfigMap", "data": dict(data)}:
            for entry, text in data.items():
                if entry != "_example":  # which documents a ConfigMap in itself, and is not read
                    yield from _named(_parsed(text))
        case {"name": str(variable), "value": str(value)} if variable.endswith("IMAGE") and value:
            yield value
        case dict():
            for key, value in part.items():
                if key == "image" and isinstance(value, str) and value:
                    yield value
                else:
                    yield from _named(value)
        case list():
            for value in part:
                yield from _named(value)
        case str() if found := _ELSEWHERE.fullmatch(part):
            yield found[1]


def _parsed(text: str) -> Any:
    """The JSON or YAML in a ConfigMap's entry; the text itself where it is neither."""
    try:
        return yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        return text
