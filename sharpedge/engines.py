"""The commands ``export``, ``build``, ``engines`` and ``agree``.

Layer: sharpedge; called by the command line; prints, and each function returns an exit status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.engine.backend_table import BACKENDS
from edge.engine.installed import activate, not_serving, read_active, rollback, scan
from edge.engine.key import device_key
from edge.engine.loader import load_engines, open_backend
from edge.engine.passport import open_engine
from edge.errors import EngineError
from edge.model import DISCLAIMER
from edge.system.paths import built_engines, engines_home
from edge.system.terminal import Progress, complain, say
from export.acceptance.agreement import compare
from export.acceptance.golden import folder_set
from export.acceptance.install import build_and_install, find_recipe, gate_of, record_self_test
from export.acceptance.tune import installed_for_tuning
from export.acceptance.tune import tune as run_tune
from export.builders.build import DEFAULT_OPTIONS, BuilderOptions, installed_backends
from export.errors import BuildError, ExportError, RecipeError
from export.exporter import export_recipes
from export.template import write_template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.engine.installed import Installed
    from edge.engine.loader import EngineSet
    from edge.engine.passport import Passport
    from export.acceptance.tune import TunedRecipe
    from export.exporter import ExportedEngine
    from export.recipe import Target


class _Phases:
    """One progress line for each phase."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._phase = ""
        self._line = Progress(name)

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase != self._phase:
            self._line.clear()
            self._phase, self._line = phase, Progress(f"{self._name}: {phase.lower()}")
        self._line(done, total)

    def clear(self) -> None:
        self._line.clear()


def build(
    words: Sequence[str],
    out: Path | None,
    backends: Sequence[str],
    films: Path | None,
    options: BuilderOptions = DEFAULT_OPTIONS,
) -> int:
    """Build engines; 1 where one could not be built. ``words`` are recipes, default all shipped."""
    recipes = _recipes(words)
    if not recipes:
        return 1
    wanted = tuple(backends) or installed_backends()
    if not wanted:
        raise BuildError(
            "no back end beside ONNX Runtime is installed, and that takes exported graphs",
            where="build",
            fix="pip install 'sharpedge[openvino]'; without it: sharpedge export",
        )
    folder = out or built_engines()
    # All graphs first: the golden set's FP32 run is one run of them all.
    names, failed = _export(recipes, folder, None, lambda _done: None)
    gate = gate_of(folder, films) if names else None
    for name in names:
        assert gate is not None  # noqa: S101 - there are names
        show = _Phases(name)
        for one in build_and_install(name, folder, wanted, gate, show, options):
            show.clear()
            if isinstance(one, ExportError):
                failed += 1
                complain(str(one))
            else:
                head = _head(one.stem, one.passport, active=one.active)
                say("\n".join([head, *_verdict(one.passport)]))
    say(DISCLAIMER)
    return 1 if failed or len(recipes) < len(words) else 0


def tune(
    words: Sequence[str], out: Path | None, backends: Sequence[str], films: Path | None
) -> int:
    """Time every engine that agrees with FP32 and write the choice; 1 where one failed.

    ``words`` are recipes, default all that are shipped.
    """
    recipes = _recipes(words)
    folder = out or built_engines()
    names, failed = _export(recipes, folder, None, lambda _done: None)
    if names:
        gate = gate_of(folder, films)
        show = _Phases("tuning")
        for found in run_tune(folder, names, tuple(backends) or installed_for_tuning(), gate, show):
            show.clear()
            failed += len(found.faults)
            for fault in found.faults:
                complain(str(fault))
            say("\n".join(_tuned_rows(found)))
        say("these engines serve from the next start on; another processor or library: tune again")
    say(DISCLAIMER)
    return 1 if failed or not names or len(recipes) < len(words) else 0


def _tuned_rows(found: TunedRecipe) -> list[str]:
    exact = min(one.p50_ms for one in found.timed if one.passport.is_reference)
    rows = [found.name]
    for i, one in enumerate(found.timed):
        mark = "  chosen" if i == 0 else ""
        kind = f"{BACKENDS[one.passport.backend].title} {one.passport.engine.precision}"
        threads = f"{one.threads} thread{'' if one.threads == 1 else 's'}"
        rows.append(
            f"  {kind:<20}{threads:<11}{one.p50_ms:8.1f} ms  x{one.p50_ms / exact:.2f}{mark}"
        )
    return [*rows, *(f"  left out: {why}" for why in found.refused)]


def export(words: Sequence[str], out: Path | None, target: Target | None) -> int:
    """Export recipes, all shipped ones unless named; 1 where one could not be exported."""

    def show(done: ExportedEngine) -> None:
        rows = [f"{done.engine}  {done.sha256[:16]}  {'unchanged' if done.cached else 'built'}"]
        say("\n".join([*rows, *(f"  note: {note}" for note in done.notes)]))

    recipes = _recipes(words)
    _, failed = _export(recipes, out or built_engines(), target, show)
    say(DISCLAIMER)
    return 1 if failed or len(recipes) < len(words) else 0


def init_recipe(files: Sequence[Path]) -> int:
    """Write a recipe for the files of one model. Raises `ExportError`."""
    path = write_template(files)
    say(f"{path}\n  check it, then: sharpedge export {path}")
    return 0


def _recipes(words: Sequence[str]) -> list[Path]:
    """Recipes by path or shipped name, all shipped ones unless named; an unknown word is left out.

    Raises `RecipeError` where nothing is shipped.
    """
    if not words:
        shipped = sorted(engines_home().glob("*.toml"))
        if not shipped:
            raise RecipeError(
                "no recipe (*.toml)", where=str(engines_home()), fix="name a recipe's path"
            )
        return shipped
    return [path for word in words if (path := _recipe(word)) is not None]


def _recipe(word: str) -> Path | None:
    try:
        return find_recipe(word)
    except RecipeError as error:
        complain(str(error))
        return None


def _export(
    recipes: Sequence[Path],
    folder: Path,
    target: Target | None,
    show: Callable[[ExportedEngine], None],
) -> tuple[list[str], int]:
    """Names of the recipes that were exported, and how many were not."""
    names: list[str] = []
    line = Progress("exporting")
    for outcome in export_recipes(
        recipes, folder, lambda _n, i, total: line(i, total), target=target
    ):
        line.clear()
        if outcome.exported is None:
            complain(str(outcome.error))
        else:
            names.append(outcome.exported.name)
            show(outcome.exported)
    line.clear()
    if names:
        record_self_test(folder)
    return names, len(recipes) - len(names)


def show_engines(folder: Path | None, name: str | None) -> int:
    """List what is installed and why something does not serve; 1 where one is refused."""
    place = folder or built_engines()
    items = [item for item in scan(place) if name in (None, item.name)]
    if not items:
        complain(f"{place}: no engine is installed (fix: sharpedge export)")
        return 1
    key = device_key()
    chosen = read_active(place).now.engines
    refused = 0
    for item in items:
        why = _refusal(item, key)
        refused += why is not None
        if item.passport is None:
            say(f"{item.stem}\n  refused: {why}")
            continue
        say(_head(item.stem, item.passport, active=chosen.get(item.name) == item.stem))
        rows = [f"refused: {why}"] if why else _verdict(item.passport, brief=False)
        say("\n".join(f"  {row.strip()}" for row in rows))
    if any("total_p50" not in i.passport.latency_ms for i in items if i.passport):
        say(f"not tuned: where nothing was measured, the order is {', '.join(BACKENDS)}")
    say(DISCLAIMER)
    return 1 if refused else 0


def activate_engine(folder: Path | None, stem: str) -> int:
    """Let an installed engine come first."""
    passport = activate(folder or built_engines(), stem, device_key())
    say(f"{passport.name}: {stem} serves from the next start on. {DISCLAIMER}")
    return 0


def roll_back(folder: Path | None) -> int:
    """Take back the last choice."""
    now = rollback(folder or built_engines())
    shown = ", ".join(now.engines.values()) or "the order of choice"
    say(f"back to: {shown}. {DISCLAIMER}")
    return 0


def agree(folder: Path | None, first: str, second: str, films: Path) -> int:
    """Compare two back ends over a folder of films; 1 where a grade or a fate differs.

    Raises `EngineError` where a recipe has no engine for one of them, `BuildError` where both are
    the same.
    """
    if first == second:
        raise BuildError(
            f"both are {first}: an engine agrees with itself",
            where="agree",
            fix="name two back ends, for example openvino and onnxruntime",
        )
    place = folder or built_engines()
    one, other = (
        load_engines(place, backend=backend, fallback=False) for backend in (first, second)
    )
    return _compare(first, one, second, other, films)


def rescore(folder: Path | None, candidate: Path, films: Path) -> int:
    """Score films with the installed engines and with those of another folder; 1: they differ."""
    here, there = load_engines(folder or built_engines()), load_engines(candidate)
    return _compare("installed", here, "candidate", there, films)


def _compare(label: str, one: EngineSet, other_label: str, other: EngineSet, films: Path) -> int:
    golden = folder_set(films)
    if not golden.count:
        complain(f"{films}: no film was found")
        return 2
    show = Progress(f"{label} against {other_label}")
    found = compare(golden.films(), one, other, progress=lambda done: show(done, golden.count))
    show.clear()
    for name, engines in ((label, one), (other_label, other)):
        say(f"{name}: {', '.join(sorted(_shown(e.passport) for e in engines.engines.values()))}")
    say("\n".join([*found.lines(), DISCLAIMER]))
    if not found.grades:
        complain(
            f"{films}: no grade was compared, so nothing is known of the agreement "
            "(fix: give films that are scored, with the scorers installed)"
        )
        return 1
    return 1 if found.flips or found.fates_differ or found.joints_differ else 0


def _shown(passport: object) -> str:
    fields = passport if isinstance(passport, dict) else {}
    return f"{fields.get('name')} on {fields.get('backend')} {fields['engine']['precision']}"


def _refusal(item: Installed, key: bytes) -> str | None:
    if item.refusal is not None:
        return f"{item.refusal.why} (fix: {item.refusal.fix})"
    try:
        verified = open_engine(item.path, key)
        if not_serving(verified.passport) is None:
            open_backend(verified)
    except EngineError as error:
        return str(error)
    return None


def _head(stem: str, passport: Passport, *, active: bool) -> str:
    size = passport.engine.bytes / 2**20
    return (
        f"{stem}  {passport.backend} {passport.engine.precision}  "
        f"{passport.engine.sha256[:16]}  {size:.1f} MiB{'  active' if active else ''}"
    )


def _verdict(passport: Passport, *, brief: bool = True) -> list[str]:
    rows = []
    if passport.build is not None:
        made = passport.build
        rows.append(
            f"  built by {made.builder} {made.version} in {made.seconds:.1f} s, "
            f"{made.peak_mib:.0f} MiB, {made.half_tensors} FP16 tensors"
        )
    rows += [f"  note: {note}" for note in passport.notes]
    verdict = passport.acceptance
    if verdict is not None:
        figures = ", ".join(f"{key} {value:.4g}" for key, value in verdict.figures.items())
        state = "accepted" if verdict.accepted else f"not accepted: {verdict.reason}"
        rows.append(f"  {state}; {verdict.films} films, {verdict.scores} scores; {figures}")
        if verdict.warning is not None:
            rows.append(f"  note: {verdict.warning}")
        if verdict.borderline:
            listed = verdict.borderline[: 3 if brief else None]
            rows.append(f"  not counted, too near .5: {len(verdict.borderline)}: "
                        f"{', '.join(listed)}{' ...' if brief else ''}")  # fmt: skip
    elif passport.is_reference:
        rows.append("  the FP32 reference")
    if "total_p50" in passport.latency_ms:
        shown = passport.latency_ms
        rows.append(f"  latency p50 {shown['total_p50']:.1f} ms, p99 {shown['total_p99']:.1f} ms")
    return rows
