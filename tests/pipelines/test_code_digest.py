"""What tasks made with one encoder of titles is not taken for what they would make with another."""

from pathlib import Path

import pytest

from pipelines.submission import code_digest


def test_the_code_digest_names_the_encoder_of_titles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.lock").write_text("numpy==2")
    (tmp_path / "encoder.json").write_text('{"version": "student-1"}')
    hashed = code_digest(tmp_path)
    monkeypatch.setenv("NEWSREC_ENCODER", str(tmp_path))
    assert code_digest(tmp_path) == f"{hashed}+student-1"
