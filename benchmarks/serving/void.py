"""A run whose figures would mean nothing."""

from typing import Any


class Void(RuntimeError):
    """Why no figure of this run counts; ``designs`` are those that there are all the same, by online store."""

    def __init__(self, why: str, designs: dict[str, Any] | None = None) -> None:
        super().__init__(why)
        self.designs = designs or {}
