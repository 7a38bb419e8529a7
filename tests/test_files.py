"""Writers that are interrupted leave either the old content or the new, never a mixture."""

import subprocess
import sys
from pathlib import Path

import pytest

from newsrec.files import whole_directory, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_and_interrupt(partial: Path) -> None:
    (partial / "a").write_text("new")
    raise KeyboardInterrupt


def test_directory_appears_only_when_the_block_has_ended(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "deep" / "log") as partial:
        (partial / "shard").mkdir()
        (partial / "shard" / "a").write_text("1")
        assert not (tmp_path / "deep" / "log").exists()
    assert names(tmp_path / "deep") == ["log"]
    assert (tmp_path / "deep" / "log" / "shard" / "a").read_text() == "1"


def test_replacing_leaves_nothing_of_the_old_directory(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with whole_directory(tmp_path / "log") as partial:
            (partial / name).write_text(name)
    assert names(tmp_path) == ["log"]
    assert names(tmp_path / "log") == ["new"]


def test_an_error_in_the_block_keeps_the_old_directory(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "log") as partial:
        (partial / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_directory(tmp_path / "log") as partial:
        _write_and_interrupt(partial)
    assert names(tmp_path) == ["log"]
    assert (tmp_path / "log" / "a").read_text() == "old"


def test_what_a_killed_writer_left_does_not_stop_the_next_one(tmp_path: Path) -> None:
    """A process killed inside the block leaves its partial folder; one killed before the clean-up leaves an .old."""
    program = f"""
import os
from newsrec.files import whole_directory
with whole_directory({str(tmp_path / "log")!r}) as partial:
    (partial / "a").write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert not (tmp_path / "log").exists()
    (tmp_path / ".log.old").mkdir()
    (tmp_path / ".log.old" / "a").write_text("older")
    for text in ("1", "2"):
        with whole_directory(tmp_path / "log") as partial:
            (partial / "a").write_text(text)
    assert (tmp_path / "log" / "a").read_text() == "2"


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "champion.json"
    write_whole(target, "eins")
    write_whole(target, "zwei 新闻")
    assert target.read_text(encoding="utf-8") == "zwei 新闻"
    assert names(target.parent) == ["champion.json"]


def test_text_that_cannot_be_encoded_keeps_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "f", "new \ud800")
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"
