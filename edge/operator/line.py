"""The appliance's condition in one line, for systemd and for a terminal.

Layer: operator; text only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.operator.protocol import Live

_PRESENCE = {
    "starting": "engines are being loaded, films wait",
    "unfit": "no engine may be used, films wait",
    "offline": "not running",
}
_MOST_REASONS = 3


def status_line(live: Live | None, held: dict[str, int], messages: int) -> str:
    """One line: what hinders, films that are held and why, what waits; else "waiting for films"."""
    parts = []
    if live is None:
        parts.append("not running")
    else:
        parts += [_PRESENCE[live.presence]] if live.presence in _PRESENCE else []
        codes = [it.code for it in live.alerts]
        if "paused" in codes:
            parts.append("paused by a dashboard")
        others = sorted(set(codes) - {"paused", "films_held"})
        parts += [f"alerts: {', '.join(others)}"] if others else []
    if held:
        parts.append(f"{films(sum(held.values()))} held: {reasons(held)}")
    if messages:
        parts.append(f"{messages} waiting for {'the broker' if _away(live) else 'an answer'}")
    return "; ".join(parts) or "waiting for films"


def reasons(held: dict[str, int]) -> str:
    """Reasons in words; with counts where there are several."""
    if len(held) == 1:
        return next(iter(held)).replace("_", " ")
    shown = [f"{n} {code.replace('_', ' ')}" for code, n in list(held.items())[:_MOST_REASONS]]
    rest = len(held) - _MOST_REASONS
    return ", ".join([*shown, *([f"{rest} other reasons"] if rest > 0 else [])])


def films(count: int) -> str:
    """A number of films in words."""
    return "1 film" if count == 1 else f"{count} films"


def _away(live: Live | None) -> bool:
    return live is None or not live.connected
