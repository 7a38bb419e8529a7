import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from newsrec.encoders.text import embed, embed_articles, hashed
from newsrec.events import from_rows, validate
from newsrec.features import EMBEDDING_DIM

NOW = 1_704_067_200_000_000


def cosine(first: str, second: str) -> float:
    return float(np.dot(*embed([first, second], [None, None], [None, None])))


def test_vectors_have_length_one_and_no_text_gives_zeros() -> None:
    found = embed(["Rain", None, "  ", None], [None, "Sun", "...", None], [None, None, "", "sports"])
    assert found.shape == (4, EMBEDDING_DIM)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("title", "near", "far"),
    [
        ("Team wins the football final", "Football finals: a team celebrates", "Bank raises its interest rates"),
        ("足球队赢得决赛", "决赛中的足球队", "银行提高利率"),
        ("축구 대표팀이 결승에서 이겼다", "대표팀의 축구 결승", "은행이 금리를 인상했다"),
        ("サッカー代表が決勝で勝利", "決勝のサッカー代表", "銀行が金利を引き上げ"),
        ("Сборная выиграла финал", "Финалы сборной", "Банк повысил ставку"),
    ],
)
def test_a_title_is_nearer_to_one_that_shares_its_words(title: str, near: str, far: str) -> None:
    assert cosine(title, near) > cosine(title, far) + 0.3


def test_case_and_width_of_letters_do_not_matter() -> None:
    assert cosine("FIFA World Cup 2026", "ｆｉｆａ world CUP ２０２６") == pytest.approx(1.0, abs=1e-6)


def test_unrelated_texts_are_orthogonal_on_average() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 9)) for _ in range(600)]
    titles = [" ".join(words[i : i + 6]) for i in range(0, 600, 6)]
    found = embed(titles, [None] * 100, [None] * 100)
    off_diagonal = (found @ found.T)[~np.eye(100, dtype=bool)]
    assert abs(off_diagonal.mean()) < 0.02
    assert off_diagonal.std() < 1.5 * EMBEDDING_DIM**-0.5


def test_a_category_outweighs_unrelated_titles_and_its_second_level_counts_half() -> None:
    titles = ["Rain tomorrow", "Parliament votes", "Parliament votes", "Parliament votes"]
    same, half, parent, other = embed(titles, [None] * 4, ["sports/golf", "sports/golf", "sports/tennis", "money"])
    assert same @ half > same @ parent > same @ other + 0.2
    assert np.dot(*embed([None] * 2, [None] * 2, ["sports", "sports/golf"])) == pytest.approx(0.894, abs=0.1)


def test_another_process_finds_the_same_vectors() -> None:
    code = (
        "from newsrec.encoders.text import embed\n"
        "print(embed(['Rain in 서울'], ['and 東京'], ['weather/today']).tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bytes.fromhex(run.stdout.strip()) == embed(["Rain in 서울"], ["and 東京"], ["weather/today"]).tobytes()


def test_articles_keep_their_own_embeddings_and_get_the_missing_ones() -> None:
    own = np.arange(EMBEDDING_DIM, dtype=np.float32)
    rows = [
        {"article_id": "a", "published_at": NOW, "title": "Rain", "category": "weather", "subcategory": "today"},
        {"article_id": "b", "published_at": NOW, "title": "Rain", "embedding": own.tolist()},
        {"article_id": "c", "published_at": NOW, "abstract": "Sun", "subcategory": "alone"},
        {"article_id": "d", "published_at": NOW},
    ]
    found = validate(embed_articles(from_rows("articles", rows)), "articles")
    vectors = np.array(found["embedding"].to_pylist(), np.float32)
    np.testing.assert_array_equal(vectors[1], own)
    expected = embed(["Rain", None, None], [None, "Sun", None], ["weather/today", "alone", None])
    np.testing.assert_array_equal(vectors[[0, 2, 3]], expected)


def test_articles_that_all_have_embeddings_and_no_articles_stay_as_they_are() -> None:
    rows = [{"article_id": "a", "published_at": NOW, "embedding": [0.0] * EMBEDDING_DIM}]
    full = from_rows("articles", rows)
    assert embed_articles(full).equals(full)
    assert embed_articles(full.slice(0, 0)).equals(pa.table(full.slice(0, 0)))


def test_a_vector_is_the_sum_of_its_features_one_after_the_other() -> None:
    """Bit for bit: shared parts of titles are looked up once, but nothing is added in another order."""
    title, abstract = "Storms storm the coast, the coast", "서울 storms 東京"
    bag: dict[str, float] = {}
    for text, weight in ((title, 1.0), (abstract, hashed.ABSTRACT_WEIGHT)):
        for token in hashed._TOKENS.findall(text.casefold()):
            for feature, share in hashed._features(token):
                bag[feature] = bag.get(feature, 0.0) + weight * share
    total = np.zeros(EMBEDDING_DIM)
    for feature, weight in bag.items():
        total = total + np.sqrt(weight) * hashed._signs(feature)
    total /= np.linalg.norm(total)
    expected = (total / np.linalg.norm(total)).astype(np.float32)
    assert (embed([title], [abstract], [None])[0] == expected).all()
