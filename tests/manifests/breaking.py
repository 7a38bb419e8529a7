"""The pattern of these tests: a rule is a function from rendered objects to complaints, and each has manifests that
break it on purpose."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.manifests.objects import Object, find, render

Rule = Callable[[list[Object]], Iterable[str]]


class Broken(NamedTuple):
    """``change`` breaks the manifests of ``overlay``; ``rule`` must then say ``complaint``."""

    rule: Rule
    complaint: str
    change: Callable[[list[Object]], Any]
    overlay: str = "abtest"
    """The one with everything in it, where nothing else is said."""

    def found(self) -> list[str]:
        """What the rule says of the broken manifests, after saying nothing of the whole ones."""
        objects = render(self.overlay)
        assert list(self.rule(objects)) == []
        self.change(objects)
        return list(self.rule(objects))


def name(value: object) -> str | None:
    """The id of a parametrised test: what the rule is called, and its complaint."""
    if isinstance(value, Broken):
        return f"{value.rule.__name__}: {value.complaint}"
    return getattr(value, "__name__", None)


def pod_spec(objects: list[Object], owner: str) -> dict[str, Any]:
    """The pod spec of the Deployment or StatefulSet ``owner``, or of the InferenceService ``newsrec``."""
    if owner == "newsrec":
        return find(objects, "InferenceService", owner)["spec"]["predictor"]
    kind = "Deployment" if owner == "collector" else "StatefulSet"
    return find(objects, kind, owner)["spec"]["template"]["spec"]


def container(objects: list[Object], owner: str) -> dict[str, Any]:
    return pod_spec(objects, owner)["containers"][0]


def environment(objects: list[Object], owner: str, variable: str) -> dict[str, Any]:
    (found,) = (entry for entry in container(objects, owner)["env"] if entry["name"] == variable)
    return found
