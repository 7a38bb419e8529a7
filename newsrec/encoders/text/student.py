"""A student: titles to vectors by a table of token vectors and a small network, in int8, without torch.

The folder holds ``encoder.json`` (what it is), ``student.onnx`` (what runs) and ``projection.safetensors`` (how its
teacher's vectors became EMBEDDING_DIM numbers). It is made by ``newsrec.encoders.text.distillation``.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from newsrec.config import InvalidConfig
from newsrec.encoders.text.tokens import tokens
from newsrec.features import EMBEDDING_DIM, ENCODER_FILE

FORMAT = 1
MODEL_FILE, PROJECTION_FILE = "student.onnx", "projection.safetensors"
BATCH = 64
"""Texts in one run of the network."""


class Student:
    """The student in a folder."""

    def __init__(self, folder: str | Path) -> None:
        """Raises InvalidConfig for a folder that holds no student of this format."""
        path = Path(folder) / ENCODER_FILE
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            found, self.version, self.buckets = about["format"], str(about["version"]), int(about["buckets"])
            model = (Path(folder) / MODEL_FILE).read_bytes()
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"{folder} holds no student: {type(error).__name__}: {error}"
            raise InvalidConfig(f"{problem}; expected a folder that newsrec titles train made") from None
        if found != FORMAT:
            raise InvalidConfig(f"{path}: format is {found}, expected {FORMAT}; train the student again")
        self.about, self._session = about, _session(model)

    def vectors(self, titles: Sequence[str], abstracts: Sequence[str] | None = None) -> np.ndarray:
        """[n, EMBEDDING_DIM] float64 of length 1, or zeros for a text without any word."""
        abstracts = [""] * len(titles) if abstracts is None else abstracts
        result = np.zeros((len(titles), EMBEDDING_DIM))
        order = np.argsort([len(title) + len(abstract) for title, abstract in zip(titles, abstracts, strict=True)])
        for start in range(0, len(order), BATCH):  # texts of one length waste no padding
            rows = order[start : start + BATCH]
            of = tokens([titles[row] for row in rows], [abstracts[row] for row in rows], self.buckets)
            bucket, weight = of.padded()
            result[rows] = self._session.run(None, {"bucket": bucket, "weight": weight})[0]
        return result


def _session(model: bytes) -> Any:
    """On one core: a title takes microseconds, and a request never waits for a pool of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
