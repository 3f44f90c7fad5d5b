"""The engines installed in a folder, their order of preference, and the active choice.

Layer: engine; reads passports; writes one file, ``active.json``, which is replaced whole.

A passport's stem names the engine: ``hand-score`` is the FP32 graph that `export` wrote,
``hand-score.tensorrt`` a plan built from it. ``active.json`` names the stem that comes first for
each recipe; for a recipe that it does not name, the order of preference holds. Earlier choices are
kept in it, so that the last one can be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from edge.engine.backend_table import BACKENDS
from edge.engine.passport import FIX, Passport, open_engine, read_passport
from edge.errors import EngineError
from edge.model import Record
from edge.system.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

ACTIVE_NAME = "active.json"
NO_PASSPORTS = frozenset({ACTIVE_NAME, "tuned.json"})
"""Files of the folder that end like a passport."""
_KEPT_CHOICES = 20
_LATENCY = "total_p50"


@dataclass(frozen=True)
class Refusal:
    """Why an installed engine does not serve, and the command that fixes it."""

    stem: str
    why: str
    fix: str


@dataclass(frozen=True)
class Installed:
    """One passport of the folder; ``passport`` is None where it cannot be read."""

    path: Path
    passport: Passport | None
    refusal: Refusal | None = None

    @property
    def stem(self) -> str:
        """Name of the passport without its ending."""
        return self.path.stem

    @property
    def name(self) -> str:
        """The recipe that it belongs to."""
        return self.passport.name if self.passport else self.stem.partition(".")[0]


class Choice(Record):
    """What a person, or a build that was accepted, put first; recipe to stem."""

    engines: dict[str, str] = Field(default_factory=dict)
    graphs: dict[str, str] = Field(default_factory=dict)
    """Recipes that are held at an FP32 graph other than the one that `export` wrote last."""


class Active(Record):
    """What ``active.json`` holds: the choice, and those before it, latest first."""

    now: Choice = Choice()
    earlier: tuple[Choice, ...] = ()


def scan(folder: Path) -> list[Installed]:
    """Return every passport of a folder by stem; unreadable ones carry their refusal."""
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem):
        if path.name in NO_PASSPORTS:
            continue
        try:
            found.append(Installed(path, read_passport(path)))
        except EngineError as error:
            found.append(Installed(path, None, refusal_of(path.stem, error)))
    return found


def refusal_of(stem: str, error: EngineError) -> Refusal:
    """Turn an error into the refusal of one engine."""
    return Refusal(stem, str(error).removesuffix(f" (fix: {error.fix})"), error.fix)


def not_serving(passport: Passport) -> str | None:
    """Why an engine that is whole still may not serve: None for the reference and accepted ones."""
    if passport.is_reference:
        return None
    if passport.acceptance is None:
        return "not accepted: the gate has not run"
    return None if passport.acceptance.accepted else f"not accepted: {passport.acceptance.reason}"


def in_order(
    items: Iterable[Installed], chosen: str | None, backend: str | None = None
) -> tuple[list[Installed], bool]:
    """Order the engines of one recipe, best first, and return whether measurements decided.

    ``backend`` comes first where it is stated, then the chosen stem, then the fastest on this
    machine; where one was never measured, the order of `BACKENDS` holds.
    """
    items = list(items)
    passports = [item.passport for item in items]
    preference = list(BACKENDS)
    tuned = all(p is not None and _LATENCY in p.latency_ms for p in passports)

    def rank(item: Installed) -> tuple[object, ...]:
        passport = item.passport
        if passport is None:
            return (True, True, len(preference), 0.0, item.stem)
        return (
            backend is not None and passport.backend != backend,
            item.stem != chosen,
            0 if tuned else preference.index(passport.backend),
            passport.latency_ms[_LATENCY] if tuned else 0.0,
            item.stem,
        )

    return sorted(items, key=rank), tuned


def read_active(folder: Path) -> Active:
    """Read ``active.json``; nothing chosen where there is none. Raises `EngineError`."""
    path = folder / ACTIVE_NAME
    try:
        return Active.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Active()
    except (OSError, ValidationError) as error:
        raise EngineError(
            f"{path}: the choice of engines cannot be read", engine="any", fix=f"remove {path}"
        ) from error


def activate(folder: Path, stem: str, key: bytes) -> Passport:
    """Let an installed engine come first for its recipe, at once and whole.

    An engine of an earlier FP32 graph takes its recipe back to that graph. Raises `EngineError`
    where there is no such engine, it is refused, or it was not accepted.
    """
    path = folder / f"{stem}.json"
    if not path.exists():
        stems = ", ".join(item.stem for item in scan(folder)) or "none"
        raise EngineError(
            f"{folder}: {stem} is not installed (installed: {stems})", engine=stem, fix=FIX
        )
    passport = open_engine(path, key).passport
    why = not_serving(passport)
    if why is not None:
        raise EngineError(f"{stem}: {why}", engine=passport.name, fix=passport.fix)
    before = read_active(folder)
    graphs = {k: v for k, v in before.now.graphs.items() if k != passport.name}
    held = _graph_stem(folder, passport)
    if held != passport.name:
        graphs[passport.name] = held
    now = Choice(engines={**before.now.engines, passport.name: stem}, graphs=graphs)
    if now != before.now:
        _write(folder, Active(now=now, earlier=(before.now, *before.earlier)))
    return passport


def forget(folder: Path, names: Collection[str]) -> None:
    """Take the choice of some recipes back, so that what was measured decides.

    A recipe that is held at an earlier graph stays there. Raises `EngineError`.
    """
    before = read_active(folder)
    kept = {
        name: stem
        for name, stem in before.now.engines.items()
        if name not in names or name in before.now.graphs
    }
    now = before.now.model_copy(update={"engines": kept})
    if now != before.now:
        _write(folder, Active(now=now, earlier=(before.now, *before.earlier)))


def rollback(folder: Path) -> Choice:
    """Take back the last choice; returns what is chosen now. Raises `EngineError`."""
    active = read_active(folder)
    if not active.earlier:
        raise EngineError(
            f"{folder}: nothing was activated before",
            engine="any",
            fix="sharpedge engines activate STEM",
        )
    _write(folder, Active(now=active.earlier[0], earlier=active.earlier[1:]))
    return active.earlier[0]


def _graph_stem(folder: Path, passport: Passport) -> str:
    """Stem of the FP32 graph behind an engine; the current one's is the recipe's name."""
    stems = [
        item.stem
        for item in scan(folder)
        if item.passport is not None
        and item.passport.is_reference
        and item.passport.engine.sha256 == passport.graph
    ]
    if not stems:
        raise EngineError(
            f"{folder}: the FP32 graph that {passport.engine.file} was built from is gone",
            engine=passport.name,
            fix=passport.fix,
        )
    return passport.name if passport.name in stems else stems[0]


def _write(folder: Path, active: Active) -> None:
    kept = active.model_copy(update={"earlier": active.earlier[:_KEPT_CHOICES]})
    write_whole(
        folder / ACTIVE_NAME, (kept.model_dump_json(indent=1) + "\n").encode(), durable=True
    )
