"""A policy that starts from another: each layer alone, articles by their ids, and nothing that does not fit."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from newsrec.artifact import Artifact
from newsrec.catalogue import Catalogue
from newsrec.config import InvalidConfig
from newsrec.encoders.scorer import HistoryScorer
from newsrec.events import from_rows, validate
from newsrec.features import EMBEDDING_DIM
from newsrec.registry import REGISTRY
from newsrec.transitions import Candidates, State
from newsrec.warm_start import SCORER, Layer, warm_start
from tests.logs import MONDAY, article
from tests.test_artifact import request
from tests.trained import made

SEQUENCE = [name for name, entry in REGISTRY.items() if issubclass(entry.policy, HistoryScorer)]
LAYERS: dict[Layer, set[str]] = {
    "history": {"dwell", "history", "output"},
    "content": {"article.content"},
    "identity": {"article.identity"},
    "context": {"context", "moment", "demand", "fatigue"},
    "critics": {"click_level", "value", "spread"},
}
"""Of double DQN."""
PORTABLE = ("dwell.", "history.", "output.", "article.content.", "context.", "moment.", "demand.", "fatigue.")


def catalogue(ids: str, trained: int | None = None) -> Catalogue:
    rows = [article(a, MONDAY, title=a, embedding=[0.0] * EMBEDDING_DIM) for a in ids]
    return Catalogue(validate(from_rows("articles", rows), "articles"), len(ids) if trained is None else trained)


def untrained(name: str, articles: int, **network: int) -> nn.Module:
    torch.manual_seed(99)
    entry = REGISTRY[name]
    config = entry.config()
    if network:
        config = replace(config, network=replace(config.network, **network))
    return entry.policy(config, articles)


def changed(name: str, known: Catalogue, source: Artifact, layers: tuple[Layer, ...]) -> tuple[nn.Module, set[str]]:
    """The policy after its warm start, and the names of the tensors that are no longer the initial ones."""
    policy = untrained(name, known.trained)
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    warm_start(policy, known, source, layers)
    return policy, {key for key, value in policy.state_dict().items() if not torch.equal(value, before[key])}


def trained(name: str, seed: int = 0) -> Artifact:
    """Random weights, but for the unknown article, and buffers that are not the initial ones either."""
    source = made(name, seed)
    with torch.no_grad():
        for key, parameter in source.policy.named_parameters():
            if key.endswith("identity.weight"):
                parameter[0] = 0.0
        for number, buffer in enumerate(source.policy.buffers()):
            buffer.fill_(number + 3.5)
    return source


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_copied_whole_and_nothing_else(layer: Layer) -> None:
    source = trained("dqn")
    policy, found = changed("dqn", catalogue("abcd"), source, (layer,))
    expected = {n for n in policy.state_dict() if any(f"{n}.".startswith(f"{part}.") for part in LAYERS[layer])}
    assert expected
    assert found == expected
    theirs = source.policy.state_dict()
    assert all(torch.equal(policy.state_dict()[name], theirs[name]) for name in found)


def test_the_layers_are_all_there_is() -> None:
    policy, found = changed("dqn", catalogue("abcd"), trained("dqn"), tuple(LAYERS))
    assert found == set(policy.state_dict())


@pytest.mark.parametrize("name", SEQUENCE)
def test_with_every_layer_it_scores_like_its_source(name: str) -> None:
    """Also where the same articles stand in other rows."""
    source, known = trained(name), catalogue("dxcba")
    policy = untrained(name, known.trained).eval()
    layers = (*SCORER, "critics") if name not in ("transformer", "sasrec") else SCORER
    said = warm_start(policy, known, source, layers)
    state, candidates = request()
    with torch.inference_mode():
        expected = source.policy.scores(state, candidates)
        found = policy.scores(*renumbered(state, candidates, torch.tensor([0, 5, 4, 3, 1])))
    torch.testing.assert_close(found, expected)
    assert (said["policy"], said["version"], said["articles"]) == (name, source.version, 4)


@pytest.mark.parametrize("name", ["nrms", "pp_rec"])
def test_a_ranker_by_content_lends_its_articles_to_a_long_term_policy(name: str) -> None:
    source = trained(name)
    policy, found = changed("iql", catalogue("abcd"), source, ("content", "identity"))
    assert found == {"article.content.weight", "article.identity.weight"}
    theirs = source.policy.state_dict()
    assert all(torch.equal(policy.state_dict()[key], theirs[key]) for key in found)


def renumbered(state: State, candidates: Candidates, rows: torch.Tensor) -> tuple[State, Candidates]:
    return (
        state._replace(history_index=rows[state.history_index]),
        candidates._replace(article_index=rows[candidates.article_index]),
    )


def test_identities_follow_ids_and_new_articles_keep_theirs() -> None:
    """The source knows a to d; e and f are in its catalogue but newer than its training, x it has never seen."""
    source, known = trained("transformer"), catalogue("cxefabz", trained=6)
    initial = untrained("transformer", 6).state_dict()["article.identity.weight"]
    policy, found = changed("transformer", known, source, ("identity",))
    assert found == {"article.identity.weight"}
    theirs, ours = (p.state_dict()["article.identity.weight"] for p in (source.policy, policy))
    for row, name in enumerate("cxefab", 1):
        expected = theirs["abcd".index(name) + 1] if name in "abcd" else initial[row]
        assert torch.equal(ours[row], expected), name
    assert torch.equal(ours[0], initial[0]), "the unknown article"


def test_behaviour_has_identities_of_its_own_that_follow_ids_too() -> None:
    source = trained("policy_gradient")
    policy, _ = changed("policy_gradient", catalogue("xb"), source, ("critics",))
    theirs, ours = (p.state_dict()["behaviour_article.identity.weight"] for p in (source.policy, policy))
    assert torch.equal(ours[2], theirs[2])
    assert not torch.equal(ours[1], theirs[1])


def test_another_market_shares_everything_but_identities() -> None:
    policy, found = changed("iql", catalogue("uvw"), trained("imitation"), SCORER)
    assert "article.identity.weight" not in found
    assert found == {name for name in policy.state_dict() if name.startswith(PORTABLE)}
    said = warm_start(policy, catalogue("uvw"), trained("imitation"))
    assert said["articles"] == 0


def test_critics_are_those_that_both_have() -> None:
    source = trained("dqn")
    _, found = changed("iql", catalogue("abcd"), source, ("critics",))
    heads = {name for name in source.policy.state_dict() if name.startswith(("click_level.", "value."))}
    assert found == heads, "no actor, no best value, no spread"


def test_says_how_much_was_copied() -> None:
    width = 64
    said = warm_start(untrained("transformer", 4), catalogue("abxy"), trained("dqn"), ("content", "identity"))
    assert said["layers"] == {"content": width * EMBEDDING_DIM, "identity": 5 * width}
    assert said["articles"] == 2


@pytest.mark.parametrize(
    ("network", "source", "layers", "message"),
    [
        (
            {"width": 32},
            "dqn",
            ("content",),
            r"content of dqn \w+ does not fit: found article.content.weight \[64, 64\], expected "
            r"article.content.weight \[32, 64\]; give both the same network, or leave content out of warm_start_layers",
        ),
        ({"width": 32}, "dqn", ("identity",), r"found article.identity.weight \[64\], expected .* \[32\];"),
        (
            {"layers": 3},
            "dqn",
            ("content", "history"),
            "found no history.blocks.2.attention_norm.bias, expected history.b",
        ),
        (
            {"layers": 1},
            "dqn",
            ("content", "history"),
            r"found history.blocks.1.attention_norm.bias \[64\], expected no h",
        ),
        ({}, "popularity", ("context",), r"found no context.weight, expected context.weight \[64, 10\]"),
        ({}, "popularity", ("history",), "history of popularity .* found no layer in common; leave history out"),
        ({}, "transformer", ("critics",), "critics of transformer .* found no layer in common; leave critics out"),
        ({}, "dqn", ("content", "histroy"), r"is \['content', 'histroy'\], expected some of history, content, ident"),
        ({}, "dqn", (), r"warm_start_layers is \[\], expected some of history"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_copied(
    network: dict[str, int], source: str, layers: tuple[Layer, ...], message: str
) -> None:
    policy = untrained("dqn", 4, **network)
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    with pytest.raises(InvalidConfig, match=message):
        warm_start(policy, catalogue("abcd"), made(source), layers)
    assert all(torch.equal(value, before[key]) for key, value in policy.state_dict().items())
