"""Fits joints to the shape template of a hand or foot, and rates the fit.

Layer: pipeline; pure functions over points. `fit_each` finds translation, rotation and
scale by generalised least squares under the full covariance and returns a restricted likelihood,
so that assignments of the same joints to different names can be compared. The template has its
thumb (hallux) at the right and y pointing down; a mirrored limb is fitted with x negated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.anatomy import shape_template, unit_joints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.anatomy import Limb
    from edge.model import Points, Transform

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

DETECTION_NOISE = 0.03
"""Standard deviation of a detected centre in template units (MCP3-PIP3 is 1.02), x and y alike."""


@dataclass(frozen=True)
class ShapeFit:
    """How well named points fit the template.

    ``to_image`` maps template coordinates to image pixels (a similarity, mirrored or not);
    ``mean_square`` is the mean of the squared Mahalanobis distances joint by joint with the 2 x 2
    blocks alone; ``tension`` is the squared distance under the full covariance by degree of
    freedom, 1 on average; ``cost`` the negative restricted log likelihood under it.
    """

    to_image: Transform
    rotation_deg: float
    scale: float
    mirrored: bool
    mean_square: float
    tension: float
    cost: float


@dataclass(frozen=True)
class ShapeFits:
    """Several fits, side by side: every array holds one entry for each.

    A template point z = x + iy lies in the image at ``factor`` z + ``shift``, where the real part
    is negated of those that are ``mirrored``. The others are as in `ShapeFit`.
    """

    factor: Complex
    shift: Complex
    mirrored: npt.NDArray[np.bool_]
    mean_square: Floats
    tension: Floats
    cost: Floats

    @property
    def scale(self) -> Floats:
        """Pixels by template unit, [n]."""
        return np.abs(self.factor)

    @property
    def rotation_deg(self) -> Floats:
        """Turn of each, before it is mirrored, [n]."""
        return np.asarray(np.degrees(np.angle(self.factor)))

    def one(self, i: int) -> ShapeFit:
        """The fit number ``i``."""
        factor, shift, mirrored = self.factor[i], self.shift[i], bool(self.mirrored[i])
        flip = -1.0 if mirrored else 1.0
        to_image = np.array(
            [
                [flip * factor.real, -flip * factor.imag, flip * shift.real],
                [factor.imag, factor.real, shift.imag],
                [0.0, 0.0, 1.0],
            ]
        )
        return ShapeFit(
            to_image,
            float(np.degrees(np.angle(factor))),
            float(np.abs(factor)),
            mirrored,
            float(self.mean_square[i]),
            float(self.tension[i]),
            float(self.cost[i]),
        )


def similarity(source: Points, target: Points) -> Transform:
    """Least-squares similarity [3, 3], not mirroring, from ``source`` [n, 2] to ``target``."""
    centre_s, centre_t = source.mean(axis=0), target.mean(axis=0)
    s, t = source - centre_s, target - centre_t
    norm = float((s**2).sum()) or 1e-12
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    linear = np.array([[a, -b], [b, a]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre_t - linear @ centre_s
    return matrix


def inverse(transform: Transform) -> Transform:
    """The transform back, [3, 3]."""
    return np.asarray(np.linalg.inv(transform), dtype=np.float64)


def apply(transform: Transform, points: Points) -> Points:
    """Map points [n, 2] by a [3, 3] affine transform."""
    return np.asarray(points @ transform[:2, :2].T + transform[:2, 2])


def unit_px(limb: Limb, names: Sequence[str], points: Points) -> float:
    """Length of MCP3-PIP3 or MTP1-MTP5 in pixels, from the template where one is missing."""
    first, second = unit_joints(limb)
    shape = shape_template(limb)
    if first in names and second in names:
        return float(np.hypot(*(points[names.index(first)] - points[names.index(second)])))
    rows = [shape.joints.index(name) for name in names]
    scales = []
    for flip in (1.0, -1.0):
        source = shape.mean[rows] * (flip, 1.0)
        matrix = similarity(source, points)
        error = float(np.square(apply(matrix, source) - points).sum())
        scales.append((error, float(np.hypot(matrix[0, 0], matrix[1, 0]))))
    ends = shape.mean[[shape.joints.index(first), shape.joints.index(second)]]
    return min(scales)[1] * float(np.hypot(*(ends[0] - ends[1])))


@dataclass(frozen=True)
class _Subset:
    """What the fits of the same joints share; missing joints have zeros.

    ``precision`` [2n, 2n] is the inverse of the noisy covariance, ``to_pose`` [4, 2n] gives the
    generalised least-squares pose of offsets, ``log_dets`` is the logarithm of both determinants of
    the restricted likelihood.
    """

    precision: Floats
    to_pose: Floats
    log_dets: float


def _design(limb: Limb) -> Floats:
    """Change of every coordinate by each of the four numbers of a pose, [2n, 4]."""
    mean = shape_template(limb).mean
    design = np.zeros((2 * len(mean), 4))
    design[0::2, 0], design[1::2, 0] = mean[:, 0], mean[:, 1]
    design[0::2, 1], design[1::2, 1] = -mean[:, 1], mean[:, 0]
    design[0::2, 2], design[1::2, 3] = 1.0, 1.0
    return design


@lru_cache(maxsize=2048)
def _subset(limb: Limb, present: bytes) -> _Subset:
    """Numbers of one subset of joints; ``present`` is a byte for each joint, 1 where it is in."""
    both = np.repeat(np.frombuffer(present, np.bool_), 2)
    index = np.flatnonzero(both)
    inside = np.ix_(index, index)
    noisy = shape_template(limb).covariance[inside] + DETECTION_NOISE**2 * np.eye(len(index))
    precision = np.zeros((len(both), len(both)))
    precision[inside] = np.linalg.inv(noisy)
    design = _design(limb)
    normal = design.T @ precision @ design
    to_pose = np.linalg.solve(normal, design.T @ precision)
    log_dets = float(np.linalg.slogdet(noisy)[1] + np.linalg.slogdet(normal)[1])
    return _Subset(precision, to_pose, log_dets)


@lru_cache(maxsize=2)
def _blocks(limb: Limb) -> Floats:
    """Inverse 2 x 2 covariance of each joint, [n, 2, 2]."""
    shape = shape_template(limb)
    blocks = [
        shape.covariance[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(len(shape.joints))
    ]
    return np.asarray(np.linalg.inv(np.array(blocks) + DETECTION_NOISE**2 / 4 * np.eye(2)), float)


def complex_mean(limb: Limb) -> Complex:
    """The template's joints as complex numbers x + iy, [n]."""
    return shape_template(limb).mean.view(np.complex128).ravel()


def fit_each(
    limb: Limb,
    points: Complex,
    present: npt.NDArray[np.bool_],
    mirrored: npt.NDArray[np.bool_],
) -> ShapeFits:
    """Fit the template to several sets of named points at once.

    Parameters
    ----------
    limb : Limb
    points : [m, n] complex128
        Image place x + iy of each joint, in template order; any finite number where it is missing.
    present : [m, n] bool
        Which joints each set has, three at least.
    mirrored : [m] bool
        Which sets are fitted mirrored.

    Returns
    -------
    ShapeFits
        Not finite where the points of a set lie in one place.

    Notes
    -----
    Two rounds of generalised least squares: the covariance is turned with the limb, so it needs a
    first rotation. With flat priors on the four pose parameters the cost is the restricted (REML)
    likelihood, comparable between assignments of the same points.
    """
    mean, count = complex_mean(limb), present.sum(axis=1)
    subsets = [_subset(limb, row.tobytes()) for row in present]
    precision = np.stack([subset.precision for subset in subsets])
    to_pose = np.stack([subset.to_pose for subset in subsets])
    log_dets = np.array([subset.log_dets for subset in subsets])
    image = np.where(mirrored[:, None], -points.conj(), points)
    # First the least-squares similarity.
    centre_s = np.where(present, mean, 0).sum(axis=1) / count
    centre_t = np.where(present, image, 0).sum(axis=1) / count
    s = np.where(present, mean - centre_s[:, None], 0)
    t = np.where(present, image - centre_t[:, None], 0)
    factor = (s.conj() * t).sum(axis=1) / np.square(np.abs(s)).sum(axis=1)
    shift = centre_t - factor * centre_s
    square = np.zeros(len(points))
    for _ in range(2):
        back = np.where(present, (image - shift[:, None]) / factor[:, None], 0)
        pose = (to_pose @ back.view(np.float64)[:, :, None])[:, :, 0].copy().view(np.complex128)
        left = (back - pose[:, :1] * mean - pose[:, 1:]).view(np.float64)
        square = ((precision @ left[:, :, None])[:, :, 0] * left).sum(axis=1)
        shift = shift + factor * pose[:, 1]
        factor = factor * pose[:, 0]
    offsets = ((image - shift[:, None]) / factor[:, None] - mean).view(np.float64)
    offsets = offsets.reshape(*points.shape, 2)
    residuals = np.einsum("mni,nij,mnj->mn", offsets, _blocks(limb), offsets)
    freedom = 2 * count - 4
    return ShapeFits(
        factor,
        shift,
        mirrored,
        mean_square=np.where(present, residuals, 0).sum(axis=1) / count,
        tension=square / freedom,
        cost=0.5 * (square + log_dets) + freedom * np.log(np.abs(factor)),
    )


def fit(limb: Limb, rows: Sequence[int], points: Points, *, mirrored: bool) -> ShapeFit:
    """Fit the template's joints ``rows`` to image ``points`` [k, 2], k >= 3; see `fit_each`."""
    placed = np.zeros((1, len(limb.joints)), np.complex128)
    present = np.zeros(placed.shape, np.bool_)
    placed[0, list(rows)] = points[:, 0] + 1j * points[:, 1]
    present[0, list(rows)] = True
    return fit_each(limb, placed, present, np.array([mirrored])).one(0)


def expected_places(limb: Limb, rows: tuple[int, ...], points: Points, shape: ShapeFit) -> Points:
    """Where every joint of the limb is expected in the image, [n, 2], given those that were found.

    The conditional mean under the full covariance: fingers that lie off the template pull their
    unseen neighbours with them.
    """
    whole = shape_template(limb)
    seen = np.array([[2 * row, 2 * row + 1] for row in rows]).ravel()
    offsets = apply(inverse(shape.to_image), points) - whole.mean[list(rows)]
    covariance = whole.covariance[np.ix_(seen, seen)] + DETECTION_NOISE**2 * np.eye(len(seen))
    pull = whole.covariance[:, seen] @ np.linalg.solve(covariance, offsets.ravel())
    return apply(shape.to_image, whole.mean + pull.reshape(-1, 2))
