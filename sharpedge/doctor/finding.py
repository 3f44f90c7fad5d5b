"""What one check found, and the table and JSON that show all of it.

Layer: sharpedge; text only.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge.enums import StrEnum
from edge.model import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Sequence


class Level(StrEnum):
    """What a finding means for the appliance."""

    OK = "ok"
    WARNING = "warning"
    """The appliance works; something will stop it, or is not as it should be."""
    FAILED = "failed"
    """Films are not scored, results do not arrive, or a secret is not kept."""
    SKIPPED = "skipped"
    """Not checked; the cause says why."""


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    ``what`` names the thing and its condition; ``cause`` and ``fix`` are empty where it is in
    order.
    """

    check: str
    level: Level
    what: str
    cause: str = ""
    fix: str = ""


_WIDTH = 100
_LEVEL_WIDTH = 9
_INDENT = " " * _LEVEL_WIDTH


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, cause: str, fix: str) -> Finding:
    """Work goes on; somebody should act."""
    return Finding(check, Level.WARNING, what, cause, fix)


def failed(check: str, what: str, cause: str, fix: str) -> Finding:
    """The appliance does not do its work like this."""
    return Finding(check, Level.FAILED, what, cause, fix)


def skipped(check: str, cause: str) -> Finding:
    """It could not be found out."""
    return Finding(check, Level.SKIPPED, "not checked", cause)


def exit_status(findings: Sequence[Finding]) -> int:
    """1 where something failed, 3 where something is a warning, else 0."""
    levels = {finding.level for finding in findings}
    return 1 if Level.FAILED in levels else 3 if Level.WARNING in levels else 0


def summary(findings: Sequence[Finding]) -> str:
    """Count the findings by level, in one line."""
    counts = [
        f"{sum(finding.level is level for finding in findings)} {level}"
        for level in (Level.FAILED, Level.WARNING, Level.OK, Level.SKIPPED)
    ]
    return f"{', '.join(counts)}. {DISCLAIMER.capitalize()}."


def as_table(findings: Sequence[Finding]) -> str:
    """Show the findings as text, two lines more for each that needs somebody."""
    wide = max((len(finding.check) for finding in findings), default=0) + 2
    lines = []
    for finding in findings:
        mark = finding.level.upper() if finding.level is Level.FAILED else str(finding.level)
        head = f"{mark:<{_LEVEL_WIDTH}}{finding.check:<{wide}}"
        lines.append(_wrapped(head, finding.what, " " * (_LEVEL_WIDTH + wide)))
        lines += [
            _wrapped(f"{_INDENT}{name}: ", text, f"{_INDENT}{' ' * (len(name) + 2)}")
            for name, text in (("cause", finding.cause), ("fix", finding.fix))
            if text
        ]
    return "\n".join([*lines, summary(findings)])


def _wrapped(head: str, text: str, indent: str) -> str:
    # A command or a path must stay whole, to be copied.
    return textwrap.fill(
        text, _WIDTH, initial_indent=head, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def as_json(findings: Sequence[Finding]) -> str:
    """Show the findings as one JSON object."""
    rows = [asdict(finding) | {"level": str(finding.level)} for finding in findings]
    return json.dumps(
        {"findings": rows, "exit_status": exit_status(findings), "notice": DISCLAIMER}
    )
