"""The whole method: bytes of one film in, one outcome a limb out.

Layer: scoring; called by the worker, the command line and the self-test. A bad film raises nothing:
it gives a rejected result with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge import __version__
from edge.anatomy import Limb, View
from edge.engine.outputs import check_suspect, suspects
from edge.engine.passport import Role
from edge.errors import FilmError, Reason, rejected
from edge.imaging.decode import decode_film
from edge.model import (
    LateralitySource,
    LimbResult,
    OperatorStatement,
    PictureForm,
    Radiograph,
    Versions,
)
from edge.pipeline.evidence import is_released, nothing_found
from edge.pipeline.film_statistics import film_figures
from edge.pipeline.find import (
    CONVINCING,
    FirstLook,
    Sighting,
    first_look,
    glance,
    mapped,
    second_look,
)
from edge.pipeline.frame import warp
from edge.pipeline.limb import LimbAnalysis, analyse, lay_out
from edge.pipeline.marker.read import Marker, read_markers
from edge.pipeline.picture.words import Caption
from edge.pipeline.side import markers_of
from edge.pipeline.template import inverse
from edge.scoring.drawing import Drawing
from edge.scoring.reference_film import reference_film
from edge.scoring.stage_clock import StageClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.engine.loader import EngineSet
    from edge.model import GreyImage, Identifiers
    from edge.pipeline.settings import PipelineSettings

LEAST_NAMED = 5
"""With fewer joints named at the first look there is no limb on the film."""
LEAST_MERIT = 0.15
"""Of 13 films of other body parts 12 show no joint, one shows four with a merit of .1."""
UNDISPUTED = 0.7
"""Below this merit the other limb's detector runs once more, on a framed picture."""
RIVAL_MERIT = 0.45
"""A disputed foot is held where a hand is seen as clearly as this: a child's knuckles look like
toes, and six places are more easily matched than ten. None of 141 films of feet is held for it."""
FIRST_LOOK_SIDE_PX = 1024
"""The first look works on a copy of the film no larger than this."""


@dataclass(frozen=True)
class LimbOutcome:
    """One limb's result and its mask in film pixels (PNG).

    ``drawing`` makes its pictures when it is asked to, so that nobody waits for them who wants the
    result; None where there are none. ``figures`` say what its film was like, for the
    drift watch; empty where nothing was scored.
    """

    result: LimbResult
    drawing: Drawing | None = field(default=None, compare=False, repr=False)
    mask_png: bytes | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def overlay(self) -> Callable[[Caption, PictureForm], bytes | None] | None:
        """Draws the labelled picture (JPEG) that may leave the appliance; None without one."""
        return None if self.drawing is None else self.drawing.sent

    @property
    def overlay_jpeg(self) -> bytes | None:
        """The labelled picture (JPEG) that is sent unless a site sets another; drawn each time."""
        if self.drawing is None:
            return None
        return self.drawing.sent(Caption(file=self.result.file), PictureForm.MASKED)


@dataclass(frozen=True)
class FilmOutcome:
    """Every limb of one film; never empty. ``stage_ms`` adds up over the limbs.

    ``taken`` is the day, and the time where it is stated, of the exposure.
    """

    limbs: tuple[LimbOutcome, ...]
    stage_ms: dict[str, float]
    study_key: str | None = None
    patient_key: str | None = None
    burned_in_annotation: bool = False
    taken: str | None = None
    identifiers: Identifiers | None = None


class FilmScorer:
    """Scores films with one set of engines. Not thread-safe: one film at a time."""

    def __init__(
        self, engines: EngineSet, settings: PipelineSettings, *, want_masks: bool = False
    ) -> None:
        self._engines, self._settings, self._want_masks = engines, settings, want_masks
        self.versions = Versions(software=__version__, engines=engines.versions)

    def score(
        self,
        data: bytes,
        file_name: str,
        operator: OperatorStatement | None = None,
        on_stage: Callable[[str], None] | None = None,
    ) -> FilmOutcome:
        """Score one film.

        Parameters
        ----------
        data : bytes
            The file as it lies on disk; its kind is read from the bytes, never from the name.
        file_name : str
            Its name, which may state limb and side.
        operator : OperatorStatement, optional
            Limb and side as a person stated them; final.
        on_stage : callable, optional
            Called with the name of each stage as it begins.

        Raises
        ------
        EngineError
            Where an engine is missing or fails.
        OutputError
            Where an engine returns what no grade may be made from. A constant output counts only
            if it is constant on the film of the self-test too.
        """
        with suspects() as suspected:
            outcome = self._score(data, file_name, operator, StageClock(on_stage))
        for engine, role in suspected.values():
            check_suspect(engine, role, reference_film())
        return outcome

    def _score(
        self, data: bytes, file_name: str, operator: OperatorStatement | None, clock: StageClock
    ) -> FilmOutcome:
        try:
            clock.start("decode")
            film = decode_film(data, file_name, self._settings.max_megapixels)
            if operator is not None:
                film = _with_operator(film, operator)
            clock.start("find")
            sightings, verdict = self._find(film)
            markers = self._markers(film, sightings, verdict, clock)
        except FilmError as error:
            clock.stop()
            result = rejected(error.reason, file_name, self.versions, detail=error.detail)
            return FilmOutcome((LimbOutcome(result),), clock.stage_ms)
        film = replace(film, flags=(*film.flags, *_contradiction(film, verdict, sightings)))
        limbs = []
        for index, sighting in enumerate(sightings):
            analysis = analyse(
                film,
                sighting,
                self._engines,
                self._settings,
                clock.start,
                file_name=file_name,
                limb_index=index,
                versions=self.versions,
                verdict=verdict,
                markers=markers[index],
            )
            clock.stop()
            figures = film_figures(analysis.plain, analysis.result)
            limbs.append(self._outcome(film, analysis, figures))
        stated = film.stated
        return FilmOutcome(
            tuple(limbs),
            clock.stage_ms,
            stated.study_key,
            stated.patient_key,
            stated.burned_in_annotation,
            stated.taken,
            stated.identifiers,
        )

    def _find(self, film: Radiograph) -> tuple[tuple[Sighting, ...], Reason | None]:
        """First look with one detector or both; the more convincing limb, or the stated one."""
        zoom = min(1.0, FIRST_LOOK_SIDE_PX / max(film.pixels.shape))
        size = (round(film.pixels.shape[1] * zoom), round(film.pixels.shape[0] * zoom))
        grow = np.diag([1 / zoom, 1 / zoom, 1.0])
        small = warp(film.pixels, inverse(grow), size) if zoom < 1 else film.pixels
        looks = self._looks(small, film.stated.limb)
        seen = {limb: look for limb, look in looks.items() if _is_limb(look)}
        if not seen:
            raise FilmError(nothing_found(film.pixels))
        best = max(seen, key=lambda limb: seen[limb].merit)
        in_doubt = False
        if len(seen) > 1 and seen[best].merit < UNDISPUTED:
            best = max(seen, key=lambda limb: self._framed_merit(small, seen[limb]))
            in_doubt = best is Limb.FOOT and seen[Limb.HAND].merit >= RIVAL_MERIT
        stated = film.stated
        if stated.limb_source is LateralitySource.OPERATOR and stated.limb in seen:
            best, in_doubt = stated.limb, False
        look = seen[best]
        found = tuple(mapped(sighting, grow) for sighting in look.sightings)
        verdict = None
        if stated.other_part is not None and not is_released(stated):
            verdict = Reason.OTHER_BODY_PART
        elif stated.conflict is not None:
            verdict = Reason.SIDE_CONFLICT
        elif stated.limb is not None and stated.limb is not best:
            verdict = Reason.LIMB_CONFLICT
        elif stated.view is View.OBLIQUE:
            verdict = Reason.OBLIQUE_VIEW
        elif stated.view is View.LATERAL:
            verdict = Reason.LATERAL_VIEW
        elif look.crowded:
            verdict = Reason.TWO_LIMBS
        elif in_doubt:
            verdict = Reason.SHAPE_IMPLAUSIBLE
        return found, verdict

    def _markers(
        self,
        film: Radiograph,
        sightings: tuple[Sighting, ...],
        verdict: Reason | None,
        clock: StageClock,
    ) -> list[tuple[Marker, ...]]:
        """Markers of each limb; read only where nothing states the side of a film not yet held."""
        if not self._settings.read_markers or film.stated.laterality or verdict:
            return [()] * len(sightings)
        clock.start("marker")
        shapes = [sighting.identity.shape for sighting in sightings]
        joints = [sighting.points() for sighting in sightings]
        return markers_of(read_markers(film.pixels), shapes, joints)

    def _looks(self, film: GreyImage, stated: Limb | None) -> dict[Limb, FirstLook]:
        """What each detector sees of a film, the stated limb's first; one where that settles it."""
        limbs = sorted(self._engines.limbs, key=lambda limb: limb is not stated)
        engines = {limb: self._engines.require(Role.DETECT, limb) for limb in limbs}
        looks: dict[Limb, FirstLook] = {}
        for limb, engine in engines.items():
            looks[limb] = glance(engine, limb, film, self._settings)
            if looks[limb].settled:
                return {limb: looks[limb]}
        sure = False
        for limb, engine in engines.items():
            looks[limb] = first_look(engine, limb, film, self._settings, looks[limb], once=sure)
            sure = sure or looks[limb].merit >= CONVINCING
        return looks

    def _framed_merit(self, film: GreyImage, look: FirstLook) -> float:
        """Merit of a look's best limb once it is turned and framed.

        A child's hand at the far end of a film shows its knuckles only, which look like toes'.
        """
        sighting = max(look.sightings, key=lambda one: one.merit)
        framed = lay_out(film, sighting, self._settings)
        engine = self._engines.require(Role.DETECT, sighting.limb)
        near = mapped(sighting, framed.laid.to_canvas)
        again = second_look(
            engine, sighting.limb, framed.canvas, near, framed.prior, self._settings
        )
        return 0.0 if again is None else again.merit

    def _outcome(
        self, film: Radiograph, analysis: LimbAnalysis, figures: dict[str, float]
    ) -> LimbOutcome:
        mask = None
        if self._want_masks:
            back = inverse(analysis.to_canvas @ film.stored_to_upright)
            picture = analysis.mask.foreground.astype(np.uint8) * 255
            ok_mask, png = cv2.imencode(".png", warp(picture, back, film.stored_size))
            mask = png.tobytes() if ok_mask else None
        return LimbOutcome(analysis.result, Drawing(film, analysis), mask, figures)


def _is_limb(look: FirstLook) -> bool:
    named = max((sighting.identity.n_named for sighting in look.sightings), default=0)
    return named >= LEAST_NAMED and look.merit >= LEAST_MERIT


def _contradiction(
    film: Radiograph, verdict: Reason | None, sightings: tuple[Sighting, ...]
) -> Iterator[str]:
    """Statements that contradict the film or each other, for the person who decides."""
    stated = film.stated
    if verdict is Reason.OTHER_BODY_PART and stated.other_part is not None:
        yield stated.other_part
    elif verdict is Reason.SIDE_CONFLICT and stated.conflict is not None:
        yield stated.conflict
    elif verdict is Reason.LIMB_CONFLICT:
        yield f"{stated.limb_source} {stated.limb}, {LateralitySource.GEOMETRY} {sightings[0].limb}"


def _with_operator(film: Radiograph, word: OperatorStatement) -> Radiograph:
    """Give a film the identity that the operator stated, as far as it goes."""
    stated = replace(film.stated, conflict=None)
    if word.limb is not None:
        stated = replace(stated, limb=word.limb, limb_source=LateralitySource.OPERATOR)
    if word.laterality is not None:
        stated = replace(
            stated, laterality=word.laterality, laterality_source=LateralitySource.OPERATOR
        )
    return replace(film, stated=stated)
