"""Finds the installed engines and gives them by role and limb.

Room: engine. Reads one folder of passports and engines.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.engine.onnxruntime import OnnxRuntimeEngine
from edge.engine.passport import MEND, Role, read_passport
from edge.errors import EngineError
from edge.model import Limb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.engine.protocol import Engine

_IDENTITY = ("name", "role", "limb", "input", "outputs", "classes", "anchors")
_SHORT_HASH = 16


@dataclass(frozen=True)
class EngineSet:
    """The engines that serve together."""

    engines: Mapping[tuple[Role, Limb], Engine]

    def get(self, role: Role, limb: Limb) -> Engine | None:
        """Return the engine of a role and limb, or None where none is installed."""
        return self.engines.get((role, limb))

    def require(self, role: Role, limb: Limb) -> Engine:
        """Return the engine of a role and limb. Raises `EngineError` where none is installed."""
        engine = self.get(role, limb)
        if engine is None:
            raise EngineError(
                f"no engine is installed that can {role} a {limb}", engine=f"{limb}-{role}",
                mend=MEND,
            )  # fmt: skip
        return engine

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
            {"sha256": engine.sha256, **{key: engine.passport.get(key) for key in _IDENTITY}}
            for engine in sorted(self.engines.values(), key=lambda engine: engine.name)
        ]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_engines(folder: Path, *, threads: int = 0) -> EngineSet:
    """Load every engine that has a passport in ``folder``.

    ``threads`` inside one run, 0 for every usable core. Raises `EngineError` where the folder holds
    no engine, one is refused, or two have the same role and limb.
    """
    passports = sorted(folder.glob("*.json"))
    if not passports:
        raise EngineError(f"{folder}: no engine is installed", engine="any", mend=MEND)
    engines: dict[tuple[Role, Limb], Engine] = {}
    for path in passports:
        passport = read_passport(path)
        key = (passport.role, passport.limb)
        if key in engines:
            raise EngineError(
                f"{folder}: {engines[key].name} and {passport.name} both {key[0]} a {key[1]}",
                engine=passport.name,
                mend=f"remove the files of one of them from {folder}",
            )
        engines[key] = OnnxRuntimeEngine(path.with_name(passport.engine.file), threads=threads)
    return EngineSet(engines)
