"""Stages 1b and 7 to 9 together: finds limbs on a picture and names their joints.

Layer: pipeline; arrays and engines only. The first look sees the whole film in unknown turn; the
second look sees the framed canvas. Both return `Sighting`s in the pixels of the picture they were
given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.anatomy import shape_template
from edge.pipeline.contrast import equalise
from edge.pipeline.detect import detect
from edge.pipeline.identify import Identity, identify
from edge.pipeline.template import apply, expected_places, fit, unit_px

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.anatomy import Limb
    from edge.engine.protocol import Engine
    from edge.model import Detection, GreyImage, Points, Transform
    from edge.pipeline.namings import Prior
    from edge.pipeline.settings import PipelineSettings

CROWDED = 1.4
"""More detections than this multiple of a limb's joints: there may be two limbs."""
CONVINCING = 0.6
"""With this merit nothing else needs to be tried."""
SETTLED = 0.8
"""With a whole limb named for certain and this merit nothing else is looked for. On 435 real films
of hands and feet and 2,175 turned, mirrored, cropped or equalised copies the other limb's detector
never names a whole limb for certain, and its merit is .76 at most."""
WINDOW = 0.6
"""Side of the windows that a film is searched in at last, as a share of the film's."""
WINDOW_CORNERS = (0.0, 0.2, 0.4)
WINDOW_MERIT = 0.3
"""Of 13 films of other body parts none shows more than .25 in any window."""
WEAK_REACH = 0.3
"""A weak detection counts within this distance of its expected place, in template units."""
SPARE = 2
"""Detections beyond the number of joints that may take part in the naming."""

SAME_PLACE = 0.15
"""Two looks that agree place a joint nearer than this to each other, in units of the template."""
SAME_JOINT = 0.25
"""The same for a look at a whole film, which places joints less exactly; knuckles lie .4 apart."""
CLOSE_UP = 0.6
"""How far around the joints a close look reaches, in MCP3-PIP3 or MTP1-MTP5."""


@dataclass(frozen=True)
class Sighting:
    """One limb seen in a picture: its detections, named as well as they can be."""

    limb: Limb
    detections: tuple[Detection, ...]
    identity: Identity

    @property
    def merit(self) -> float:
        """How convincing the sighting is, about 0 to 1: joints found, confidence, shape."""
        named = [
            d.confidence
            for d, row in zip(self.detections, self.identity.rows, strict=True)
            if row >= 0
        ]
        spread = min(self.identity.shape.mean_square, 20.0)
        return sum(named) / len(self.limb.joints) - 0.03 * spread

    def named(self) -> list[tuple[str, Detection]]:
        """Joint name and detection of each named one, in template order."""
        joints = self.limb.joints
        found = {
            row: d for d, row in zip(self.detections, self.identity.rows, strict=True) if row >= 0
        }
        return [(joints[row], found[row]) for row in sorted(found)]

    def points(self) -> Points:
        """Centres of the named detections [n, 2], in template order."""
        return np.array([detection.centre for _, detection in self.named()])

    def expected(self) -> Points:
        """Places of all the limb's joints [n, 2], in template order; missed ones as guessed."""
        rows = tuple(sorted(row for row in self.identity.rows if row >= 0))
        return expected_places(self.limb, rows, self.points(), self.identity.shape)

    def all_places(self, size: tuple[int, int]) -> Points:
        """Where the named joints are, and where in a picture of (width, height) others should be.

        What is cut out around these cuts no joint off.
        """
        missing = [row for row in range(len(self.limb.joints)) if row not in self.identity.rows]
        guessed = np.clip(self.expected()[missing], 0, np.asarray(size) - 1.0)
        return np.concatenate([self.points(), guessed])


def centres(detections: Sequence[Detection]) -> Points:
    """Centres of detections, [n, 2]."""
    return np.array([d.centre for d in detections], dtype=np.float64).reshape(-1, 2)


def name_detections(
    limb: Limb, detections: Sequence[Detection], prior: Prior | None = None
) -> Sighting | None:
    """Name the detections of one limb, or ``None`` when there are too few."""
    identity = identify(
        limb,
        centres(detections),
        [d.joint_class for d in detections],
        prior,
        np.array([math.sqrt(max(d.box[2] * d.box[3], 0.0)) for d in detections]),
    )
    return None if identity is None else Sighting(limb, tuple(detections), identity)


@dataclass(frozen=True)
class FirstLook:
    """What one detector saw on a whole film: no sighting, one, or two limbs that were separated.

    ``crowded`` says that there are joints for two limbs that could not be separated.
    """

    sightings: tuple[Sighting, ...] = ()
    crowded: bool = False

    @property
    def merit(self) -> float:
        """Merit of the most convincing sighting, 0 without one."""
        return max((sighting.merit for sighting in self.sightings), default=0.0)

    @property
    def settled(self) -> bool:
        """Whether it shows one whole limb so clearly that nothing else is looked for."""
        if self.crowded or len(self.sightings) != 1:
            return False
        sighting = self.sightings[0]
        whole = sighting.identity.n_named == len(sighting.limb.joints)
        return whole and sighting.identity.certain and sighting.merit >= SETTLED


def glance(engine: Engine, limb: Limb, film: GreyImage, settings: PipelineSettings) -> FirstLook:
    """Look once for one kind of limb on a picture [h, w] uint8, in unknown turn."""
    found = detect(engine, limb, film, settings.first_look_confidence, settings.overlap_limit)
    expected = len(limb.joints)
    sure = [d for d in found if d.confidence >= settings.confidence]
    crowded = False
    if len(sure) > CROWDED * expected:
        halves = [name_detections(limb, half[:expected]) for half in _two_groups(sure)]
        seen = [half for half in halves if half is not None]
        if len(seen) == 2 and all(half.identity.certain for half in seen):
            return FirstLook(tuple(seen))
        least = settings.limb(limb).least_joints
        crowded = len(seen) == 2 and all(half.identity.n_named >= least for half in seen)
    sighting = name_detections(limb, found[: expected + SPARE])
    return FirstLook(() if sighting is None else (sighting,), crowded)


def first_look(
    engine: Engine,
    limb: Limb,
    film: GreyImage,
    settings: PipelineSettings,
    glanced: FirstLook | None = None,
    *,
    once: bool = False,
) -> FirstLook:
    """Look for one kind of limb on a whole film; ``once`` when another kind convinced already.

    ``glanced`` is what a `glance` at the film gave. A film that does not convince is looked at
    again with more contrast, then half by half, since two limbs are mostly laid side by side, and
    last through nine windows: a limb of half the size needs twice the zoom.
    """
    look = glance(engine, limb, film, settings) if glanced is None else glanced
    if once or look.merit >= CONVINCING:
        return look
    clear = equalise(film, settings.clahe_clip_limit, settings.clahe_grid)
    look = max(look, glance(engine, limb, clear, settings), key=lambda one: one.merit)
    if look.merit >= CONVINCING:
        return look
    halves = [
        _shifted(glance(engine, limb, half, settings), offset) for half, offset in _halves(clear)
    ]
    both = [half.sightings[0] for half in halves if len(half.sightings) == 1]
    certain = [one.identity.certain for one in both]
    if len(both) == 2 and (all(certain) or (look.crowded and any(certain))):
        # Two limbs: the one that is not certain is held for itself.
        return FirstLook(tuple(both))
    if look.crowded:
        return look
    look = max((look, *halves), key=lambda one: one.merit)
    if look.merit >= CONVINCING:
        return look
    windows = [
        _shifted(glance(engine, limb, window, settings), offset)
        for window, offset in _windows(clear)
    ]
    seen = [window for window in windows if window.merit >= WINDOW_MERIT]
    return max((look, *seen), key=lambda one: one.merit)


def _halves(film: GreyImage) -> tuple[tuple[GreyImage, tuple[int, int]], ...]:
    """Both halves along the longer side with the place (x, y) of their corner."""
    height, width = film.shape
    if width >= height:
        return (film[:, : width // 2], (0, 0)), (film[:, width // 2 :], (width // 2, 0))
    return (film[: height // 2], (0, 0)), (film[height // 2 :], (0, height // 2))


def _windows(film: GreyImage) -> Iterator[tuple[GreyImage, tuple[int, int]]]:
    """Nine windows that overlap, with the place (x, y) of their corner."""
    height, width = film.shape
    for down in WINDOW_CORNERS:
        for across in WINDOW_CORNERS:
            top, left = round(down * height), round(across * width)
            bottom, right = top + round(WINDOW * height), left + round(WINDOW * width)
            yield film[top:bottom, left:right], (left, top)


def _shifted(look: FirstLook, offset: tuple[int, int]) -> FirstLook:
    """The same look in pixels of the whole film."""
    move = np.eye(3)
    move[:2, 2] = offset
    return FirstLook(tuple(mapped(sighting, move) for sighting in look.sightings), look.crowded)


def mapped(sighting: Sighting, transform: Transform) -> Sighting:
    """A sighting under a similarity [3, 3] that does not mirror: its detections and its fit."""
    zoom = float(np.hypot(transform[0, 0], transform[1, 0]))
    detections = []
    for detection in sighting.detections:
        x, y = apply(transform, np.array([detection.centre]))[0]
        w, h = detection.box[2] * zoom, detection.box[3] * zoom
        detections.append(replace(detection, box=(float(x - w / 2), float(y - h / 2), w, h)))
    identity = sighting.identity
    rows = tuple(row for row in sorted(identity.rows) if row >= 0)
    points = apply(transform, sighting.points())
    shape = fit(sighting.limb, rows, points, mirrored=identity.shape.mirrored)
    return replace(sighting, detections=tuple(detections), identity=replace(identity, shape=shape))


def _two_groups(detections: Sequence[Detection]) -> tuple[list[Detection], list[Detection]]:
    """Split detections by place into two groups, each best first."""
    points = centres(detections).astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 0.1)
    cv2.setRNGSeed(1)
    _, labels, _ = cv2.kmeans(
        points, 2, np.zeros((len(points), 1), np.int32), criteria, 5, cv2.KMEANS_PP_CENTERS
    )
    sides = labels.ravel() == 0
    return (
        [d for d, side in zip(detections, sides, strict=True) if side],
        [d for d, side in zip(detections, sides, strict=True) if not side],
    )


def second_look(
    engine: Engine,
    limb: Limb,
    canvas: GreyImage,
    near: Sighting,
    prior: Prior,
    settings: PipelineSettings,
) -> Sighting | None:
    """Look at the framed canvas: close to the joints first, then at the whole of it.

    ``near`` is what the first look saw, on the canvas. Close up, luxated neighbours stay apart that
    run together from afar: of 200 simulated films 198 are complete where the whole canvas alone
    gives 194. The whole canvas is looked at where a joint is missing close up.
    """
    points = near.all_places((canvas.shape[1], canvas.shape[0]))
    reach = CLOSE_UP * unit_px(limb, [name for name, _ in near.named()], near.points())
    low = np.maximum(points.min(axis=0) - reach, 0).astype(int)
    high = np.minimum(points.max(axis=0) + reach, canvas.shape[::-1]).astype(int) + 1
    close = _look_framed(engine, limb, canvas[low[1] : high[1], low[0] : high[0]], prior, settings)
    if close is not None:
        move = np.eye(3)
        move[:2, 2] = low
        close = mapped(close, move)
        if close.identity.certain and len(close.named()) == len(limb.joints):
            return close
    whole = _look_framed(engine, limb, canvas, prior, settings)
    if close is None or whole is None:
        return close or whole
    best = max(
        (close, whole), key=lambda look: (len(look.named()), look.identity.certain, look.merit)
    )
    if len(best.named()) < len(limb.joints) and _contradict(close, whole):
        return replace(best, identity=replace(best.identity, certain=False))
    return best


def confirmed(second: Sighting, first: Sighting) -> Sighting:
    """The second look, certain where the first one, laid on the same picture, agrees.

    The first must be certain itself, and every joint must have the same name in the same place.
    """
    alike = dict(first.named()).keys() == dict(second.named()).keys()
    if not alike or not first.identity.certain or _contradict(first, second, SAME_JOINT):
        return second
    return replace(second, identity=replace(second.identity, certain=True))


def _contradict(first: Sighting, second: Sighting, reach: float = SAME_PLACE) -> bool:
    """Whether two looks give one name to two places: with a joint missing its neighbours shift."""
    there = dict(second.named())
    both = [(found, there[name]) for name, found in first.named() if name in there]
    apart = [math.dist(one.centre, other.centre) for one, other in both]
    return max(apart, default=0.0) > reach * first.identity.shape.scale


def _look_framed(
    engine: Engine, limb: Limb, canvas: GreyImage, prior: Prior, settings: PipelineSettings
) -> Sighting | None:
    """The paper's detection, then weak joints where expected."""
    every = detect(engine, limb, canvas, settings.weak_confidence, settings.overlap_limit)
    # Two more than there are joints: a ghost between two knuckles may be surer than a knuckle, and
    # the shape decides which of the three does not belong.
    strong = [d for d in every if d.confidence >= settings.confidence][: len(limb.joints) + SPARE]
    sighting = name_detections(limb, strong, prior)
    if sighting is None or len(sighting.named()) == len(limb.joints):
        return sighting
    weak = [d for d in every if d not in strong]
    added = _expected_only(sighting, weak)
    if not added:
        return sighting
    fuller = name_detections(limb, [*strong, *added], prior)
    better = fuller is not None and fuller.identity.n_named > sighting.identity.n_named
    return fuller if better else sighting


def _expected_only(sighting: Sighting, weak: Sequence[Detection]) -> list[Detection]:
    """Weak detections near the place of a joint that is still missing, the best for each."""
    missing = [i for i in range(len(sighting.limb.joints)) if i not in sighting.identity.rows]
    shape = sighting.identity.shape
    places = apply(shape.to_image, shape_template(sighting.limb).mean)
    chosen: list[Detection] = []
    for row in missing:
        near = [
            d
            for d in weak
            if d not in chosen
            and np.hypot(*(np.array(d.centre) - places[row])) < WEAK_REACH * shape.scale
        ]
        if near:
            chosen.append(max(near, key=lambda d: d.confidence))
    return chosen
