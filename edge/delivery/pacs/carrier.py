"""What the sender asks of a way to the PACS, and how a way fails.

Layer: delivery; types only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.enums import StrEnum

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge.delivery.pacs.answers import Answer
    from edge.delivery.pacs.commitments import Reference
    from edge.outputs.document import StoredDocument


class Failure(StrEnum):
    """Why the PACS was not reached, or did not answer."""

    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    """Its name has no address, or the name service does not answer."""
    REJECTED = "rejected"
    """It answered that it does not want us."""
    BUSY = "busy"
    """It takes nothing at present."""
    ENDED = "ended"
    """It ended the connection."""
    SILENT = "silent"
    SECRETS = "secrets"
    """Our certificate, key or password file cannot be used; read again at the next attempt."""
    NOT_OFFERED = "not_offered"
    """It does not offer storage commitment."""


class PacsError(Exception):
    """The way to the PACS failed; the text holds no patient data."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.detail = detail


class Carrier(Protocol):
    """A way to the PACS. All of it raises `PacsError`."""

    commits: bool
    """Whether a document that was stored waits for a commitment."""

    def listen(self) -> None:
        """Listen for reports where the site wants it."""

    def open(self, classes: Collection[str]) -> None:
        """Make ready to store documents of these SOP classes."""

    def store(self, document: StoredDocument, path: Path) -> Answer:
        """Store one document, whose file has been checked."""

    def close(self) -> None:
        """End the connection for storing; raises nothing."""

    def ask(self, transaction: str, references: list[Reference]) -> None:
        """Ask for commitment to documents."""

    def may_ask(self) -> bool:
        """Whether another question may be asked now."""

    def reported(self, transaction: str) -> None:
        """Note that the report of a question has come; raises nothing."""

    def tidy(self) -> None:
        """End what waits for reports in vain; raises nothing."""

    def cut(self) -> None:
        """End everything at once, from another thread; raises nothing."""

    def stop(self) -> None:
        """End everything, on the sender's thread; raises nothing."""
