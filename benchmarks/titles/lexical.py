"""Character TF-IDF: what every encoder of titles has to beat.

Runs of one to three characters, counted as 1 + log(count), weighted by 1 + log((1 + n) / (1 + df)), at length 1. Of
the settings that were tried on the Chinese titles (1-2, 2-3, 1-3 characters, with and without logarithm) the best.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

LONGEST = 3


def bags(titles: Sequence[str]) -> sparse.csr_matrix:
    """[n, V] float64, rows of length 1 (or zeros)."""
    number: dict[str, int] = {}
    columns, values, ends = [], [], [0]
    for title in titles:
        text = " ".join(title.lower().split())
        counts = Counter(text[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(text) - n + 1))
        columns += [number.setdefault(run, len(number)) for run in counts]
        values += [1.0 + np.log(count) for count in counts.values()]
        ends.append(len(columns))
    found = sparse.csr_matrix((values, columns, ends), (len(titles), max(1, len(number))))
    rarity = np.log((1 + len(titles)) / (1 + np.bincount(found.indices, minlength=found.shape[1]))) + 1.0
    found = found @ sparse.diags(rarity)
    length = sparse.linalg.norm(found, axis=1)
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(length, 1e-12)) @ found)
