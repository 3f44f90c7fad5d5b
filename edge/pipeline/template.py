"""Fits joints to the shape template of a hand or foot, and rates the fit.

Layer: pipeline; pure functions over points. `fit` finds translation, rotation and
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

DETECTION_NOISE = 0.03
"""Standard deviation of a detected centre in template units (MCP3-PIP3 is 1.02), x and y alike."""


@dataclass(frozen=True)
class ShapeFit:
    """How well named points fit the template.

    ``to_image`` maps template coordinates to image pixels (a similarity, mirrored or not);
    ``residuals`` are squared Mahalanobis distances joint by joint with the 2 x 2 blocks alone,
    ``mean_square`` their mean; ``tension`` is the squared distance under the full covariance by
    degree of freedom, 1 on average; ``cost`` the negative restricted log likelihood under it.
    """

    to_image: Transform
    rotation_deg: float
    scale: float
    mirrored: bool
    residuals: Floats
    mean_square: float
    tension: float
    cost: float


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


@lru_cache(maxsize=4096)
def _whitening(limb: Limb, rows: tuple[int, ...]) -> tuple[Floats, float]:
    """Inverse Cholesky factor [2k, 2k] of the noisy covariance of some joints, and its log det."""
    index = np.array([[2 * row, 2 * row + 1] for row in rows]).ravel()
    covariance = shape_template(limb).covariance[np.ix_(index, index)]
    factor = np.linalg.cholesky(covariance + DETECTION_NOISE**2 * np.eye(len(index)))
    return np.asarray(np.linalg.inv(factor), float), 2.0 * float(np.log(np.diag(factor)).sum())


@lru_cache(maxsize=2)
def _blocks(limb: Limb) -> Floats:
    """Inverse 2 x 2 covariance of each joint, [n, 2, 2]."""
    shape = shape_template(limb)
    blocks = [
        shape.covariance[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] for i in range(len(shape.joints))
    ]
    return np.asarray(np.linalg.inv(np.array(blocks) + DETECTION_NOISE**2 / 4 * np.eye(2)), float)


def fit(limb: Limb, rows: tuple[int, ...], points: Points, *, mirrored: bool) -> ShapeFit:
    """Fit the template's joints ``rows`` to image ``points`` [k, 2], k >= 3.

    Two rounds of generalised least squares: the covariance is turned with the limb, so it needs a
    first rotation. With flat priors on the four pose parameters the cost is the restricted (REML)
    likelihood, comparable between assignments of the same points.
    """
    shape = shape_template(limb)
    mean = shape.mean[list(rows)]
    flip = np.array([-1.0 if mirrored else 1.0, 1.0])
    image = points * flip
    whiten, log_det = _whitening(limb, rows)
    matrix = similarity(mean, image)
    k = len(rows)
    design = np.zeros((2 * k, 4))
    design[0::2, 0], design[1::2, 0] = mean[:, 0], mean[:, 1]
    design[0::2, 1], design[1::2, 1] = -mean[:, 1], mean[:, 0]
    design[0::2, 2], design[1::2, 3] = 1.0, 1.0
    white_design = whiten @ design
    normal = white_design.T @ white_design
    white = np.zeros(2 * k)
    for _ in range(2):
        back = apply(inverse(matrix), image)
        target = whiten @ back.ravel()
        pose = np.linalg.solve(normal, white_design.T @ target)
        step = np.eye(3)
        step[:2, :2] = [[pose[0], -pose[1]], [pose[1], pose[0]]]
        step[:2, 2] = pose[2:]
        white = target - white_design @ pose
        matrix = matrix @ step
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    offsets = apply(inverse(matrix), image) - mean
    residuals = np.einsum("ni,nij,nj->n", offsets, _blocks(limb)[list(rows)], offsets)
    cost = 0.5 * (float(white @ white) + log_det + float(np.linalg.slogdet(normal)[1])) + (
        2 * k - 4
    ) * float(np.log(scale))
    return ShapeFit(
        to_image=np.diag([flip[0], 1.0, 1.0]) @ matrix,
        rotation_deg=float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))),
        scale=scale,
        mirrored=mirrored,
        residuals=residuals,
        mean_square=float(residuals.mean()),
        tension=float(white @ white) / (2 * k - 4),
        cost=cost,
    )


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
