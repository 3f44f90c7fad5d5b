"""What an audit finds.

Layer: daemon; frozen types only.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.enums import StrEnum


class Fault(StrEnum):
    """Kind of a finding."""

    CHANGED = "changed"
    MISSING = "missing"
    SET_ASIDE = "set_aside"
    """A message was given up."""
    OVERDUE = "overdue"
    REFUSED = "refused"
    """The broker refuses a kind of message."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    fault: Fault
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.subject}: {self.detail}"
