"""A release that is swapped in: the next request has all of it, and one in flight nothing of it."""

import asyncio
from typing import Any

import pytest

from newsrec import artifact
from newsrec.artifact import Artifact
from serving.backends import Backends
from serving.bundle import make_bundle
from serving.live_articles import Refresher
from serving.predictor import Predictor
from serving.recommend import ServingConfig
from serving.server import NotReady
from tests.serving.conftest import Site, clock, wait_for
from tests.serving.test_mixture import other_policy


@pytest.fixture
def old(site: Site) -> Artifact:
    return artifact.load(site.folder / "artifact")


def serve(released: Artifact, backends: Backends) -> Predictor:
    return Predictor("newsrec", make_bundle(released, backends, ServingConfig()), backends, ServingConfig())


async def ask(server: Predictor, **more: Any) -> dict[str, Any]:
    body = {"instances": [{"user_id": "ann", "seed": 5, "k": 12, **more}]}
    return (await server.predict(body))["predictions"][0]


def content(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "request_id"}


def test_after_a_swap_answers_are_those_of_the_new_release(old: Artifact, backends: Backends, site: Site) -> None:
    new = other_policy(site)
    alone = [asyncio.run(ask(serve(release, backends), time=site.now)) for release in (old, new)]
    server = serve(old, backends)
    first = asyncio.run(ask(server, time=site.now))
    server.adopt(make_bundle(new, backends, ServingConfig()))
    second = asyncio.run(ask(server, time=site.now))
    assert [content(first), content(second)] == [content(answer) for answer in alone]
    assert first["policy_version"] != second["policy_version"]


def test_requests_in_flight_end_with_the_release_they_began_with(old: Artifact, backends: Backends, site: Site) -> None:
    """Twenty requests and a swap between them: each answer is one release's own, version and slate together."""
    new = other_policy(site)
    expected = {r.version: content(asyncio.run(ask(serve(r, backends), time=site.now))) for r in (old, new)}
    server, bundle = serve(old, backends), make_bundle(new, backends, ServingConfig())

    async def swap() -> list[dict[str, Any]]:
        tasks = [asyncio.create_task(ask(server, time=site.now)) for _ in range(10)]
        await asyncio.sleep(0)  # they have begun
        server.adopt(bundle)
        return await asyncio.gather(*tasks, *(ask(server, time=site.now) for _ in range(10)))

    answers = asyncio.run(swap())
    assert [answer["policy_version"] for answer in answers] == [old.version] * 10 + [new.version] * 10
    assert all(content(answer) == expected[answer["policy_version"]] for answer in answers)


def test_a_release_of_other_features_says_so_and_is_not_ready(old: Artifact, backends: Backends) -> None:
    server = serve(old, backends)
    other = make_bundle(old._replace(feature_hash="0123456789abcdef"), backends, ServingConfig())
    assert server.bundle.misfit(backends.store) is None
    assert f"{old.feature_hash}, the artefact expects 0123456789abcdef" in str(other.misfit(backends.store))
    server.adopt(other)
    with pytest.raises(NotReady, match="0123456789abcdef"):
        asyncio.run(ask(server))


def test_the_articles_of_the_current_release_are_kept_up_to_date(old: Artifact, backends: Backends, site: Site) -> None:
    server = serve(old, backends)
    refresher = Refresher(lambda: server.bundle.live, refresh_seconds=3600)
    refresher.start()
    try:
        server.adopt(make_bundle(other_policy(site), backends, ServingConfig()))
        backends.database.upsert_articles([{"article_id": "new", "published_at": site.now}], clock())
        wait_for(lambda: "new" in server.bundle.live.shelves[0].catalogue.ids, 20)
    finally:
        refresher.stop()
