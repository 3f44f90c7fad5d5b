"""From a recipe to a checked ONNX engine with its passport.

Layer: export; reads the recipe's sources; writes three files into the folder it is given: the FP32
engine, its FP16-typed sibling, then the passport with the hashes of both. A build whose recipe,
sources and exporter have not changed is kept. An engine that is replaced is kept under another
name, so that `sharpedge engines activate` can restore it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

import edge
from edge.engine.installed import scan
from edge.engine.key import device_key
from edge.engine.passport import (
    ClassSpec,
    EngineFile,
    InputSpec,
    Passport,
    SourceFile,
    open_engine,
    passport_path,
    signed,
)
from edge.errors import EngineError
from edge.system.files import write_whole
from export.errors import ExportError, LayerError, RecipeError
from export.fp16.sibling import Sibling, half_file, make_sibling
from export.importers.built import build_graph, source_files
from export.importers.filekind import refuse_other_kinds
from export.importers.meaning import to_engine_form
from export.importers.role_contract import check_contract
from export.onnx_graph.session import open_session
from export.recipe import Recipe, read_recipe
from export.verification.verify import run_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from export.fp16.sibling import Probe
    from export.recipe import Target

_KEPT_EARLIER = 2


@dataclass(frozen=True)
class ExportedEngine:
    """One engine on disk; ``cached`` when an earlier build still held.

    ``notes`` are remarks that a person should read, as the passport has them.
    """

    name: str
    engine: Path
    passport: Path
    sha256: str
    cached: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportOutcome:
    """Result of one recipe: the engine, or the error."""

    recipe: Path
    exported: ExportedEngine | None
    error: ExportError | None


def export_engine(
    recipe_path: Path, out_dir: Path, *, target: Target | None = None
) -> ExportedEngine:
    """Build ``out_dir/NAME.onnx`` and ``NAME.json`` from a recipe.

    The graph is checked by ONNX's checker, against its role's contract, and by a run in ONNX
    Runtime against the arrays. ``target`` takes the place of the recipe's. Raises `ExportError`
    naming file, layer or key, and what to do.
    """
    recipe = read_recipe(recipe_path)
    if target is not None:
        recipe = recipe.model_copy(update={"target": target})
    folder = recipe_path.resolve().parent
    sources = _hash_sources(recipe, folder)
    engine_path = out_dir / f"{recipe.name}.onnx"
    key = _build_key(recipe, sources)
    secret = device_key()
    earlier = _still_good(engine_path, key, secret)
    if earlier is not None:
        return ExportedEngine(
            recipe.name,
            engine_path,
            passport_path(engine_path),
            earlier.engine.sha256,
            cached=True,
            notes=earlier.notes,
        )
    built = build_graph(recipe, folder)
    outputs = check_contract(built.model, recipe)
    spec = _input_spec(recipe)
    checked = run_checks(recipe, built, spec, folder)
    model = to_engine_form(built.model, recipe)
    data = model.SerializeToString(deterministic=True)
    probes: tuple[Probe, ...] | None = checked.probes
    if model is not built.model:
        open_session(data)
        probes = None
    digest = hashlib.sha256(data).hexdigest()
    sibling, notes = _sibling(recipe, model, spec, probes)
    out_dir.mkdir(parents=True, exist_ok=True)
    passport = Passport(
        name=recipe.name,
        role=recipe.role,
        limb=recipe.limb,
        input=spec,
        outputs=outputs,
        classes=tuple(
            ClassSpec(index=i, name=c.name, meaning=c.meaning) for i, c in enumerate(recipe.classes)
        ),
        anchors=built.anchors,
        engine=EngineFile(file=engine_path.name, sha256=digest, bytes=len(data)),
        half=sibling.record if sibling else None,
        sources=sources,
        build_key=key,
        training=built.training,
        settings=_settings(recipe),
        agreement=checked.agreement,
        notes=(*built.notes, *notes),
        versions=_versions(),
        built_at=now_utc(),
    )
    _keep_earlier(engine_path, digest, secret)
    write_whole(engine_path, data, durable=True)
    if sibling is not None:
        write_whole(out_dir / sibling.record.file, sibling.data, durable=True)
    write_passport(passport_path(engine_path), passport, secret)
    return ExportedEngine(
        recipe.name,
        engine_path,
        passport_path(engine_path),
        digest,
        cached=False,
        notes=passport.notes,
    )


def export_recipes(
    recipes: Sequence[Path],
    out_dir: Path,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    target: Target | None = None,
) -> Iterator[ExportOutcome]:
    """Export recipes one by one; one recipe's failure, whatever it is, does not stop the others.

    ``progress`` is called before each with the recipe's name, its number from 0 and how many there
    are.
    """
    for number, path in enumerate(recipes):
        if progress is not None:
            progress(path.stem, number, len(recipes))
        yield _outcome(path, out_dir, target)


def _outcome(path: Path, out_dir: Path, target: Target | None) -> ExportOutcome:
    try:
        return ExportOutcome(path, export_engine(path, out_dir, target=target), None)
    except ExportError as error:
        return ExportOutcome(path, None, error)
    except OSError as error:
        failure = ExportError(
            f"cannot read or write: {error.strerror or error}",
            where=str(error.filename or path),
            fix="check that the folder exists, may be written and has space",
        )
    except EngineError as error:
        failure = ExportError(str(error), where=str(path), fix=error.fix)
    except Exception as error:  # noqa: BLE001 - the other recipes go on, and a user sees one line
        failure = ExportError(
            f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}",
            where=str(path),
            fix="check the model in its own framework; report this with the recipe if it is sound",
        )
    return ExportOutcome(path, None, failure)


def _hash_sources(recipe: Recipe, folder: Path) -> tuple[SourceFile, ...]:
    stated = recipe.source.sha256
    files: list[SourceFile] = []
    for name, kinds in source_files(recipe).items():
        refuse_other_kinds(folder / name, kinds)
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise RecipeError(
                f"the source of {recipe.name} cannot be read: {error.strerror}",
                where=str(folder / name),
                fix="put the trained weights there, or correct source in the recipe",
            ) from error
        digest = hashlib.sha256(data).hexdigest()
        if stated.get(name, digest) != digest:
            raise RecipeError(
                f"{recipe.name}: SHA-256 of {name} is {digest}, the recipe asks for {stated[name]}",
                where=str(folder / name),
                fix="copy the file again, or correct source.sha256 in the recipe",
            )
        files.append(SourceFile(file=name, sha256=digest, bytes=len(data)))
    unknown = set(stated) - {file.file for file in files}
    if unknown:
        raise RecipeError(
            f"source.sha256 names {', '.join(sorted(unknown))}, which is no source",
            where=recipe.name,
            fix="correct the name in the recipe",
        )
    return tuple(files)


def _build_key(recipe: Recipe, sources: tuple[SourceFile, ...]) -> str:
    parts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "sources": [source.model_dump(mode="json") for source in sources],
        "exporter": _exporter_hash(),
        "versions": {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _exporter_hash() -> str:
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def write_passport(path: Path, passport: Passport, key: bytes) -> None:
    """Sign a passport under the device's key and put it in its place, whole."""
    write_whole(
        path, (signed(passport, key).model_dump_json(indent=1) + "\n").encode(), durable=True
    )


def now_utc() -> str:
    """Time now as the passports have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _sibling(
    recipe: Recipe, model: onnx.ModelProto, spec: InputSpec, probes: tuple[Probe, ...] | None
) -> tuple[Sibling | None, tuple[str, ...]]:
    try:
        sibling = make_sibling(
            model,
            name=recipe.name,
            role=recipe.role,
            limb=recipe.limb,
            spec=spec,
            probes=probes,
        )
    except LayerError as error:
        # The FP32 graph serves all the same; only an FP16 engine cannot be built.
        return None, (f"no FP16 sibling: {error.where}: {error.message}",)
    return sibling, ()


def _keep_earlier(engine_path: Path, digest: str, key: bytes) -> None:
    """Keep the engine that is about to be replaced, under a name that holds its hash."""
    try:
        earlier = open_engine(passport_path(engine_path), key)
    except EngineError:
        return
    passport = earlier.passport
    if passport.engine.sha256 == digest:
        return
    stem = f"{passport.name}.onnxruntime-{passport.engine.sha256[:8]}"
    file = passport.engine.model_copy(update={"file": f"{stem}.onnx"})
    half = passport.half
    if half is not None:
        moved = half.model_copy(update={"file": half_file(stem)})
        try:
            write_whole(
                engine_path.with_name(moved.file),
                (engine_path.parent / half.file).read_bytes(),
                durable=True,
            )
            half = moved
        except OSError:
            half = None
    write_whole(engine_path.with_name(file.file), earlier.data, durable=True)
    write_passport(
        engine_path.with_name(f"{stem}.json"),
        passport.model_copy(update={"engine": file, "half": half}),
        key,
    )
    kept = [
        item
        for item in scan(engine_path.parent)
        if item.stem.startswith(f"{passport.name}.onnxruntime-")
        and item.passport is not None
        and item.passport.is_reference
    ]
    kept.sort(key=lambda item: item.passport.built_at if item.passport else "", reverse=True)
    for item in kept[_KEPT_EARLIER:]:
        for ending in (".json", ".onnx", ".fp16.onnx"):
            (item.path.parent / f"{item.stem}{ending}").unlink(missing_ok=True)


def _still_good(engine_path: Path, key: str, secret: bytes) -> Passport | None:
    try:
        passport = open_engine(passport_path(engine_path), secret).passport
        half = passport.half
        whole = half is None or (
            hashlib.sha256((engine_path.parent / half.file).read_bytes()).hexdigest() == half.sha256
        )
    except (EngineError, OSError):
        return None
    return passport if passport.build_key == key and whole else None


def _input_spec(recipe: Recipe) -> InputSpec:
    given = recipe.input
    channels = given.channels
    return InputSpec(
        channels=channels,
        height=given.height,
        width=given.width,
        scale=given.scale,
        mean=given.mean if len(given.mean) == channels else given.mean * channels,
        std=given.std if len(given.std) == channels else given.std * channels,
    )


def _settings(recipe: Recipe) -> dict[str, Any]:
    source = recipe.source
    settings: dict[str, Any] = {
        "source": source.kind,
        "tolerance": recipe.tolerance.model_dump(mode="json"),
        **source.settings(),
    }
    if recipe.meaning.model_fields_set:
        settings["meaning"] = recipe.meaning.model_dump(mode="json")
    return settings


def _versions() -> dict[str, str]:
    return {
        "sharpedge": edge.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
