"""The token that callers must bear reaches both servers from one Secret, and where it is not there they start all the
same."""

from collections.abc import Iterator

import pytest

from serving.security import VARIABLE
from tests.manifests.breaking import Broken, Rule, container, environment, name
from tests.manifests.objects import OVERLAYS, Object, render

SERVERS = ("newsrec", "collector")
SECRET = {"name": "token", "key": "token", "optional": True}


def servers_take_the_token(objects: list[Object]) -> Iterator[str]:
    for server in SERVERS:
        found = [entry for entry in container(objects, server).get("env", []) if entry["name"] == VARIABLE]
        if not found:
            yield f"{server} does not know {VARIABLE}"
        elif found != [{"name": VARIABLE, "valueFrom": {"secretKeyRef": SECRET}}]:
            yield f"{server} takes {VARIABLE} from {found[0].get('valueFrom')}, expected {SECRET}"


RULES: list[Rule] = [servers_take_the_token]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_overlay_keeps(rule: Rule, overlay: str) -> None:
    assert list(rule(render(overlay))) == []


def forget(objects: list[Object], server: str) -> None:
    container(objects, server)["env"].remove(environment(objects, server, VARIABLE))


BROKEN = [
    Broken(servers_take_the_token, "newsrec does not know NEWSREC_TOKEN", lambda o: forget(o, "newsrec")),
    Broken(servers_take_the_token, "collector does not know NEWSREC_TOKEN", lambda o: forget(o, "collector")),
    Broken(
        servers_take_the_token,
        "collector takes NEWSREC_TOKEN from",
        lambda o: environment(o, "collector", VARIABLE)["valueFrom"]["secretKeyRef"].pop("optional"),
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=name)
def test_a_rule_catches(broken: Broken) -> None:
    assert any(broken.complaint in found for found in broken.found())
