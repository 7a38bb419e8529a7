"""How many decisions were put into the slate log and how many of them the event log has, in memory mapped from a file.

What a process wrote there outlives its SIGKILL (not a power failure, which takes the page cache along), so the next
start knows how many decisions went down with it. A file belongs to the one process that holds its lock; a start claims
every file of its event log that nobody holds, settles it, and keeps the first for itself.

    words of 8 bytes:  magic | put | committed | committed after the batch in flight | length of its id, then the id

A batch is in the event log whole or not at all: of one whose end was not written the event log is asked for its id.
"""

import fcntl
import hashlib
import logging
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

import sqlalchemy as sa

MAGIC = int.from_bytes(b"NRSLATE1", "little")
_PUT, _COMMITTED, _AFTER_BATCH, _ID_LENGTH, _WORDS = 1, 2, 3, 4, 5
_ID_BYTES = 512
SIZE = 8 * _WORDS + _ID_BYTES
MOST_FILES = 1_000

log = logging.getLogger(__name__)


class SlateCounter:
    """The counts of this process; without ``descriptor`` nobody else ever sees them."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.ftruncate(descriptor, SIZE)
        self._memory = mmap.mmap(-1 if descriptor is None else descriptor, SIZE)
        self._view = memoryview(self._memory)
        self._words = self._view[: 8 * _WORDS].cast("Q")  # a word is written by one instruction, never half
        self._id = self._view[8 * _WORDS :]

    @classmethod
    def claim(cls, folder: Path, url: sa.URL, holds: Callable[[str], bool]) -> tuple[Self, int]:
        """A counter of this process alone for the event log at ``url``, and how many decisions others lost.

        ``holds`` tells whether the event log has a request. Raises OSError where ``folder`` takes no file.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = str(_file(url) or url.render_as_string())
        name, mine, lost = hashlib.blake2b(place.encode(), digest_size=4).hexdigest(), None, 0
        for number in range(MOST_FILES):
            path = folder / f"slates-{name}-{number}.counter"
            if mine is not None and not path.exists():
                break
            counter = cls._locked(path)
            if counter is None:
                continue
            lost += counter._settle(path, holds)
            if mine is None:
                mine = counter
            else:
                counter.close()
        if mine is None:
            raise OSError(f"{folder} has {MOST_FILES:,} counters of running predictors; expected room for one more")
        return mine, lost

    @classmethod
    def _locked(cls, path: Path) -> Self | None:
        """The counter in ``path``; None where another process holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if (found := os.fstat(descriptor).st_size) not in (0, SIZE):
            log.warning("%s is replaced: it has %d bytes, a counter of slates %d", path, found, SIZE)
            os.ftruncate(descriptor, 0)
        return cls(descriptor)

    def _settle(self, path: Path, holds: Callable[[str], bool]) -> int:
        """How many decisions of the process before were lost; from here on the counts are this one's."""
        magic, put, committed, after, length = self._words
        lost = 0
        if magic == MAGIC and committed <= put and committed <= after <= put and length <= _ID_BYTES:
            request = bytes(self._id[:length]).decode(errors="replace")
            there = after > committed and "\0" not in request and holds(request)
            lost = put - (after if there else committed)
        elif any(self._words):
            log.warning("%s is replaced: it holds no counter of slates", path)
        self._words[0] = 0  # a death in the middle leaves a file that counts nothing
        for word in (_PUT, _COMMITTED, _AFTER_BATCH, _ID_LENGTH):
            self._words[word] = 0
        self._words[0] = MAGIC
        return lost

    @property
    def waiting(self) -> int:
        """Decisions that were put and are not committed."""
        return self._words[_PUT] - self._words[_COMMITTED]

    def put(self, count: int) -> None:
        """``count`` more decisions may be answered now."""
        self._words[_PUT] += count

    def begin(self, request_id: str, count: int) -> None:
        """``count`` decisions, the one of ``request_id`` among them, are on their way into the event log together."""
        self._words[_AFTER_BATCH] = self._words[_COMMITTED]
        identifier = request_id.encode(errors="replace")[:_ID_BYTES]
        self._id[: len(identifier)] = identifier
        self._words[_ID_LENGTH] = len(identifier)
        self._words[_AFTER_BATCH] = self._words[_COMMITTED] + count

    def end(self) -> None:
        """They are there, or will never be."""
        self._words[_COMMITTED] = self._words[_AFTER_BATCH]

    def close(self) -> None:
        """Let another process have the file."""
        self._words.release()
        self._id.release()
        self._view.release()
        self._memory.close()
        if self._descriptor is not None:
            os.close(self._descriptor)


def default_folder(url: sa.URL) -> Path:
    """Beside the file of SQLite; for other databases a folder of this user among the temporary ones."""
    file = _file(url)
    return Path(tempfile.gettempdir()) / f"newsrec-{os.getuid()}" if file is None else file.parent


def _file(url: sa.URL) -> Path | None:
    return Path(url.database).absolute() if url.drivername == "sqlite" and url.database else None
