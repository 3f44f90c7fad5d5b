"""The command ``sharpedge evaluate calibrate-site``: measure, print, store or take away.

Layer: sharpedge; uses `training.evaluation` and `edge.engine.site`. Needs no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpedge.choices import Layout
from sharpedge.commands.evaluate import evaluate
from sharpedge.commands.options import NOTICE, fail

if TYPE_CHECKING:
    from training.evaluation.site import SiteFit


@evaluate.command(name="calibrate-site")
def calibrate_site(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="30 films or more that your readers have graded."),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(help="How DIR says what its films show; default: what is found there."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Store the thresholds in the scorers' passports.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take stored thresholds away; needs no DIR.")
    ] = False,
    engines: Annotated[Path | None, typer.Option(help="Folder of engines.")] = None,
) -> None:
    """Fit each scorer's threshold on your own graded films; nothing is stored without --apply."""
    from edge.engine.site import store_site_calibration
    from edge.errors import EngineError
    from edge.system.paths import built_engines
    from edge.system.terminal import say
    from training.errors import TrainingError

    if remove == (folder is not None) or (remove and apply):
        fail("give either DIR, with --apply to store what it says, or --remove alone", 2)
    installed = engines or built_engines()
    try:
        if remove:
            for name in _removed(installed):
                say(f"{name}: outputs count from .5 again")
        elif folder is not None:
            fits = _fitted(folder, layout, installed, apply=apply)
            _show(fits)
            if not apply:
                say("nothing is stored; the same command with --apply stores what is useful")
            for limb in {fit.limb: None for fit in fits if apply}:
                chosen = {
                    str(fit.kind): fit.fitted for fit in fits if fit.limb is limb and fit.useful
                }
                for name in store_site_calibration(installed, limb, chosen or None):
                    say(f"{name}: {', '.join(chosen) or 'nothing'} stored")
    except (EngineError, TrainingError) as error:
        fail(str(error), 2)
    say("A running appliance takes it up at its next start; its results then say site_calibrated.")
    say(NOTICE)


def _fitted(folder: Path, layout: Layout | None, installed: Path, *, apply: bool) -> list[SiteFit]:
    from edge.engine.loader import load_engines
    from edge.pipeline.settings import PipelineSettings
    from edge.system.terminal import Progress, say
    from training.errors import TrainingError
    from training.evaluation.measure import ProbabilityScorer, measure_set
    from training.evaluation.sets import read_set
    from training.evaluation.site import fit_site
    from training.evaluation.truth import Kind

    labelled = read_set(folder, None if layout is None else layout.value)
    if labelled.kind is not Kind.REAL:
        if apply:
            raise TrainingError(
                f"{labelled.name}: its damage is simulated or painted, and says nothing of a site",
                fix="give films that your readers have graded, or leave --apply out",
            )
        say("damage of this set is simulated or painted: its thresholds say nothing of a site")
    settings = PipelineSettings(accept_side_from_geometry=True)
    scorer = ProbabilityScorer(load_engines(installed), settings)
    return fit_site(measure_set(scorer, labelled, Progress("scoring")))


def _show(fits: list[SiteFit]) -> None:
    from edge.system.terminal import say

    for fit in fits:
        found = fit.fitted
        why = "useful" if fit.useful else "not useful: .5 lies in the interval"
        say(
            f"{fit.limb} {fit.kind}: threshold {found.threshold:.2f} "
            f"({found.low:.2f} to {found.high:.2f}), {found.joints} joints of {found.films} films, "
            f"mean error {found.mean_error_before:.3f} at .5, {found.mean_error:.3f} at it; {why}"
        )


def _removed(installed: Path) -> list[str]:
    from edge.anatomy import Limb
    from edge.engine.installed import scan
    from edge.engine.passport import Role
    from edge.engine.site import store_site_calibration

    limbs = {
        item.passport.limb
        for item in scan(installed)
        if item.passport is not None and item.passport.role is Role.SCORE
    }
    return [
        name
        for limb in Limb
        if limb in limbs
        for name in store_site_calibration(installed, limb, None)
    ]
