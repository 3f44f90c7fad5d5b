"""What an installation consists of: Python packages and model files, with licence and origin.

Layer: sharpedge; reads metadata of installed packages, the shipped recipes and their model files,
and the model file that the package itself carries.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from edge.pipeline.marker.network import WEIGHTS_FILE
from edge.system.paths import PROJECT, engines_home
from export.recipe import read_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOT_STATED = "not stated"
# Of these nothing is used by a running installation.
_TOOLS = frozenset({"dev", "site"})
_LONGEST_LICENCE = 60
_MARKER_ORIGIN = "Trained on letters drawn on radiographs of FracAtlas (CC BY 4.0); see NOTICE"


@dataclass(frozen=True)
class Library:
    """One installed Python package.

    ``expression`` tells whether the licence is an SPDX expression, or a name as the package has
    it; ``requires`` are canonical names of installed packages.
    """

    name: str
    version: str
    licence: str
    expression: bool
    requires: tuple[str, ...]


@dataclass(frozen=True)
class ModelFile:
    """One file with a model.

    ``path`` is relative to the shipped ``engines/``; that of a model of which no engine is made is
    relative to the installed packages.
    """

    path: str
    sha256: str
    bytes: int
    licence: str
    origin: str
    engines: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Path for texts, with its first folder."""
        return f"engines/{self.path}" if self.engines else self.path


def libraries() -> list[Library]:
    """Sharpedge first, then every installed package that it needs or can use, by name.

    Packages of the extras ``dev`` and ``site`` are left out, unless something else needs them.
    """
    found: dict[str, Library] = {}
    extras = set(metadata.metadata(PROJECT).get_all("Provides-Extra") or ()) - _TOOLS
    waiting = [(PROJECT, frozenset(extras))]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        item = waiting.pop()
        if item in done:
            continue
        done.add(item)
        name, wanted = item
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        needs = list(_needs(package, wanted))
        waiting += needs
        earlier = found[name].requires if name in found else ()
        found[name] = _library(package, {*earlier, *(need for need, _ in needs)})
    for name, library in found.items():
        there = tuple(need for need in library.requires if need in found and need != name)
        found[name] = Library(
            library.name, library.version, library.licence, library.expression, there
        )
    own = found.pop(PROJECT)
    return [own, *(found[name] for name in sorted(found))]


def _needs(
    package: metadata.Distribution, extras: Iterable[str]
) -> Iterator[tuple[str, frozenset[str]]]:
    for text in package.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def _library(package: metadata.Distribution, requires: Iterable[str]) -> Library:
    about = package.metadata
    (expression,) = about.get_all("License-Expression") or (None,)
    (field,) = about.get_all("License") or (None,)
    licence = expression or _licence_of(field, about.get_all("Classifier") or ())
    return Library(
        canonicalize_name(about["Name"]),
        package.version,
        licence,
        expression is not None,
        tuple(sorted(requires)),
    )


def _licence_of(field: str | None, classifiers: Iterable[str]) -> str:
    """The licence's name from a package's older fields; the whole text of a licence is none."""
    if field and "\n" not in field.strip() and len(field.strip()) <= _LONGEST_LICENCE:
        return field.strip()
    names = [text.split(" :: ")[-1] for text in classifiers if text.startswith("License :: ")]
    return " AND ".join(names) or NOT_STATED


def model_files() -> list[ModelFile]:
    """Files of the shipped recipes, by path, then the reader of markers.

    Raises `ConfigError`, `ExportError` or `OSError`.
    """
    home = engines_home()
    engines: dict[str, list[str]] = {}
    for path in sorted(home.glob("*.toml")):
        recipe = read_recipe(path)
        for name in recipe.source.reads():
            engines.setdefault(name, []).append(recipe.name)
    own = _library(metadata.distribution(PROJECT), ()).licence
    found = [_model_file(name, (home / name).read_bytes(), own, engines[name])
             for name in sorted(engines)]  # fmt: skip
    marker = files("edge").joinpath(WEIGHTS_FILE).read_bytes()
    return [*found, _model_file(f"edge/{WEIGHTS_FILE}", marker, own, [])]


def _model_file(name: str, data: bytes, licence: str, engines: list[str]) -> ModelFile:
    origin = NOT_STATED
    if not engines:
        origin = _MARKER_ORIGIN
    elif name.endswith(".npz"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            origin = json.loads(archive.read("meta.json")).get("attribution", NOT_STATED)
    elif name.endswith(".cfg"):
        origin = "derived from Darknet's yolov3.cfg (public domain); see NOTICE"
    return ModelFile(
        name, hashlib.sha256(data).hexdigest(), len(data), licence, origin, tuple(engines)
    )


def notice() -> str:
    """Text of the file NOTICE of the installation; empty where its metadata lacks it."""
    files = metadata.files(PROJECT) or []
    for file in files:
        if file.name == "NOTICE":
            return file.read_text()
    return ""
