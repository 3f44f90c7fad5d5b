"""Loads the best installed engine of every recipe, by role and limb.

Layer: engine; reads one folder of passports and engines. Where an engine is refused, the next one
of the same recipe serves, and the refusal is part of the result. A recipe without any engine that
can serve is an `EngineError`.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, cast

from edge.anatomy import Limb
from edge.engine.backend_table import BACKENDS, REFERENCE
from edge.engine.installed import (
    Installed,
    Refusal,
    in_order,
    not_serving,
    read_active,
    refusal_of,
    scan,
)
from edge.engine.key import device_key
from edge.engine.passport import FIX, Role, open_engine
from edge.engine.tuned import read_tuned
from edge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from edge.engine.installed import Choice
    from edge.engine.passport import VerifiedEngine
    from edge.engine.protocol import Engine
    from edge.engine.tuned import TunedEngine

_IDENTITY = (
    "name", "role", "limb", "input", "outputs", "classes", "anchors", "backend", "engine",
    "site_calibration",
)  # fmt: skip
_SHORT_HASH = 16
_LOADERS = 2


@dataclass(frozen=True)
class EngineSet:
    """The engines that serve together.

    ``refusals`` are engines that should have served and do not: the set is degraded. ``tuned``
    is true where every recipe's engine was chosen by latency measured on this machine.
    """

    engines: Mapping[tuple[Role, Limb], Engine]
    refusals: tuple[Refusal, ...] = ()
    tuned: bool = False

    def get(self, role: Role, limb: Limb) -> Engine | None:
        """Return the engine of a role and limb, or None where none is installed."""
        return self.engines.get((role, limb))

    def require(self, role: Role, limb: Limb) -> Engine:
        """Return the engine of a role and limb. Raises `EngineError` where none is installed."""
        engine = self.get(role, limb)
        if engine is None:
            raise EngineError(
                f"no engine is installed that can {role} a {limb}", engine=f"{limb}-{role}",
                fix=FIX,
            )  # fmt: skip
        return engine

    @property
    def degraded(self) -> bool:
        """Whether a lesser engine serves because a better one was refused."""
        return bool(self.refusals)

    @property
    def limbs(self) -> tuple[Limb, ...]:
        """Limbs that can be detected; masks and scorers may be missing."""
        return tuple(limb for limb in Limb if self.get(Role.DETECT, limb) is not None)

    @property
    def versions(self) -> dict[str, str]:
        """Engine name to the first 16 hex digits of its SHA-256, sorted by name."""
        engines = sorted(self.engines.values(), key=lambda engine: engine.name)
        return {engine.name: engine.sha256[:_SHORT_HASH] for engine in engines}

    @property
    def engine_set_hash(self) -> str:
        """SHA-256 over every engine and how it is fed: equal sets give equal scores."""
        parts = [
            {"sha256": engine.sha256}
            | {
                key: engine.passport.get(key)
                for key in _IDENTITY
                if key != "site_calibration" or engine.passport.get(key) is not None
            }
            for engine in sorted(self.engines.values(), key=lambda engine: engine.name)
        ]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_engines(
    folder: Path,
    *,
    threads: int = 0,
    backend: str | None = None,
    fallback: bool = True,
    key: bytes | None = None,
    refuse: Collection[str] = (),
) -> EngineSet:
    """Load the best engine of every recipe that is installed in ``folder``.

    Parameters
    ----------
    folder : Path
        Passports and engines.
    threads : int
        Inside one run; 0 for what was tuned, without that every usable core.
    backend : str, optional
        A name of `edge.engine.backend_table.BACKENDS`, preferred whatever was chosen or measured. A
        recipe without an engine for it makes the set degraded.
    fallback : bool
        Whether the next back end serves where an engine is refused or ``backend`` has none;
        without it the refusal is raised.
    key : bytes, optional
        The device's key; read from its file unless stated.
    refuse : collection of str
        SHA-256 of engine files that may not serve, because their outputs could not be used.

    Raises
    ------
    EngineError
        Where the folder holds no engine, a recipe has none that can serve, two recipes have the
        same role and limb, or, without ``fallback``, a recipe has none for ``backend``.
    """
    items = scan(folder)
    if not items:
        raise EngineError(f"{folder}: no engine is installed", engine="any", fix=FIX)
    key = device_key() if key is None else key
    choice = read_active(folder).now
    measured, why_not = read_tuned(folder, key)
    best = measured.engines if measured is not None else {}
    refusals: list[Refusal] = [why_not] if why_not else []
    all_tuned = True
    lanes: list[_Lane] = []
    for name, group in groupby(sorted(items, key=lambda item: item.name), lambda item: item.name):
        installed = list(group)
        chosen = choice.engines.get(name) or (best[name].stem if name in best else None)
        candidates, tuned = _candidates(installed, name, choice, chosen, backend)
        all_tuned &= tuned or name in best
        missing = _missing(installed, candidates, name, backend)
        if missing is not None and not fallback:
            raise EngineError(f"{folder}: {missing.why}", engine=name, fix=missing.fix)
        refusals += [missing] if missing else []
        lanes.append(_Lane(name, tuple(_without(item, refuse) for item in candidates)))

    def load(lane: _Lane) -> tuple[VerifiedEngine, Engine, list[Refusal]]:
        return _first(lane, key, lambda stem: threads or _threads_of(stem, best.get(lane.name)),
                      fallback=fallback)  # fmt: skip

    engines: dict[tuple[Role, Limb], Engine] = {}
    # A library compiles a graph without Python's lock: two recipes are loaded at a time.
    with ThreadPoolExecutor(_LOADERS) as pool:
        for lane, (verified, engine, refused) in zip(lanes, pool.map(load, lanes), strict=True):
            refusals += refused
            where = (verified.passport.role, verified.passport.limb)
            if where in engines:
                raise EngineError(
                    f"{folder}: {engines[where].name} and {lane.name} both {where[0]} a {where[1]}",
                    engine=lane.name,
                    fix=f"remove the files of one of them from {folder}",
                )
            engines[where] = engine
    return EngineSet(engines, tuple(refusals), all_tuned)


@dataclass(frozen=True)
class _Lane:
    """Engines of one recipe that may serve, best first."""

    name: str
    candidates: tuple[Installed, ...]


def _threads_of(stem: str, tuned: TunedEngine | None) -> int:
    """Threads of an engine as they were tuned; 0, for every core, where it was not."""
    return tuned.threads if tuned is not None and tuned.stem == stem else 0


def open_backend(verified: VerifiedEngine, *, threads: int = 0) -> Engine:
    """Load a verified engine into its back end. Raises `EngineError`."""
    # Imported now: a back end needs a library that most machines lack.
    engine = pkgutil.resolve_name(BACKENDS[verified.passport.backend].engine)
    return cast("Engine", engine(verified, threads=threads))


def _candidates(
    items: list[Installed], name: str, choice: Choice, chosen: str | None, backend: str | None
) -> tuple[list[Installed], bool]:
    """Engines of one recipe that may serve, best first, and whether measurements decided.

    ``chosen`` is the stem that a person or ``sharpedge tune`` put first. One that cannot be read
    stays in: that it should have served is not known to be false. One that was built from another
    graph drops out, unless it is the chosen one: that is a refusal.
    """
    held = choice.graphs.get(name, name)
    current = next((i.passport.graph for i in items if i.passport and i.stem == held), None)
    kept = []
    for item in items:
        passport = item.passport
        if passport is not None:
            if not_serving(passport) is not None:
                continue
            if current is not None and passport.graph != current:
                if item.stem != chosen:
                    continue
                stale = Refusal(
                    item.stem, "it was built from another graph than is installed", passport.fix
                )
                kept.append(Installed(item.path, passport, stale))
                continue
        kept.append(item)
    return in_order(kept, chosen, backend)


def _without(item: Installed, refuse: Collection[str]) -> Installed:
    """Refuse an installed engine that may not serve."""
    passport = item.passport
    if passport is None or item.refusal is not None or passport.engine.sha256 not in refuse:
        return item
    why = "its outputs could not be used"
    return Installed(item.path, passport, Refusal(item.stem, why, passport.fix))


def _missing(
    installed: list[Installed], candidates: list[Installed], name: str, backend: str | None
) -> Refusal | None:
    """Why a recipe has no engine that may serve on the back end that was asked for, if so."""
    if backend is None:
        return None
    if any(item.passport and item.passport.backend == backend for item in candidates):
        return None
    fix = FIX
    if backend != REFERENCE:
        fix = f"sharpedge build {name} --backend {backend}"
    for item in installed:
        passport = item.passport
        if passport is not None and passport.backend == backend:
            why = not_serving(passport) or "it was built from another graph than is installed"
            return Refusal(item.stem, f"{item.stem}: {why}", fix)
        if passport is None and item.refusal and item.stem.startswith(f"{name}.{backend}-"):
            return Refusal(item.stem, item.refusal.why, fix)
    why = f"no engine of {name} for the back end {backend} is installed"
    return Refusal(f"{name}.{backend}", why, fix)


def _first(
    lane: _Lane, key: bytes, threads_of: Callable[[str], int], *, fallback: bool
) -> tuple[VerifiedEngine, Engine, list[Refusal]]:
    refused: list[Refusal] = []
    for item in lane.candidates:
        if item.refusal is not None:
            refusal = item.refusal
        else:
            try:
                verified = open_engine(item.path, key)
                return verified, open_backend(verified, threads=threads_of(item.stem)), refused
            except EngineError as error:
                refusal = refusal_of(item.stem, error)
        if not fallback:
            raise EngineError(refusal.why, engine=lane.name, fix=refusal.fix)
        refused.append(refusal)
    if not refused:
        raise EngineError(f"{lane.name}: no engine of it may serve", engine=lane.name, fix=FIX)
    raise EngineError(refused[0].why, engine=lane.name, fix=refused[0].fix)
