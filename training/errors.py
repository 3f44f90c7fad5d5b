"""The one error of the package `training`.

Layer: training; imports no torch, so that a command can catch it.
"""

from __future__ import annotations

from edge.errors import EdgeError


class TrainingError(EdgeError):
    """A training cannot begin, resume or go on; ``fix`` says what to do next."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(f"{message} (fix: {fix})")
        self.fix = fix
