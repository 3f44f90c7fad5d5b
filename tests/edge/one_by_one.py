"""The fit and the cost of one naming, written out as the method's page has them."""

import math

import numpy as np

from edge.anatomy import joint_box_side_px, joint_class, shape_template
from edge.pipeline.namings import CLASS_ERROR_COST, MISSING_COST, SIZE_SPREAD
from edge.pipeline.template import DETECTION_NOISE, apply, inverse, similarity


def fit_of_one(limb, rows, points, *, mirrored):
    """Generalised least squares under the whitened covariance: transform, tension, cost."""
    shape = shape_template(limb)
    mean = shape.mean[list(rows)]
    flip = np.array([-1.0 if mirrored else 1.0, 1.0])
    image = points * flip
    index = np.array([[2 * row, 2 * row + 1] for row in rows]).ravel()
    noisy = shape.covariance[np.ix_(index, index)] + DETECTION_NOISE**2 * np.eye(len(index))
    factor = np.linalg.cholesky(noisy)
    whiten, log_det = np.linalg.inv(factor), 2 * float(np.log(np.diag(factor)).sum())
    k = len(rows)
    design = np.zeros((2 * k, 4))
    design[0::2, 0], design[1::2, 0] = mean[:, 0], mean[:, 1]
    design[0::2, 1], design[1::2, 1] = -mean[:, 1], mean[:, 0]
    design[0::2, 2], design[1::2, 3] = 1.0, 1.0
    white_design = whiten @ design
    normal = white_design.T @ white_design
    matrix, white = similarity(mean, image), np.zeros(2 * k)
    for _ in range(2):
        target = whiten @ apply(inverse(matrix), image).ravel()
        pose = np.linalg.solve(normal, white_design.T @ target)
        step = np.eye(3)
        step[:2, :2] = [[pose[0], -pose[1]], [pose[1], pose[0]]]
        step[:2, 2] = pose[2:]
        white = target - white_design @ pose
        matrix = matrix @ step
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    square = float(white @ white)
    cost = 0.5 * (square + log_det + float(np.linalg.slogdet(normal)[1]))
    cost += (2 * k - 4) * math.log(scale)
    rotation_deg = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    return np.diag([flip[0], 1.0, 1.0]) @ matrix, rotation_deg, square / (2 * k - 4), cost


def cost_of_one(limb, rows, points, classes, sides, prior, *, mirrored):
    """Cost of one naming."""
    used = [i for i, row in enumerate(rows) if row >= 0]
    named = [limb.joints[rows[i]] for i in used]
    to_image, rotation_deg, _, cost = fit_of_one(
        limb, [rows[i] for i in used], points[used], mirrored=mirrored
    )
    cost += CLASS_ERROR_COST * sum(
        joint_class(name) is not classes[i] for i, name in zip(used, named, strict=True)
    )
    cost += MISSING_COST * (len(rows) - len(used) + len(limb.joints) - len(used))
    cost += (len(rows) - len(used)) * 2 * math.log(np.hypot(to_image[0, 0], to_image[1, 0]))
    odd = [
        math.log(sides[i] / joint_box_side_px(limb, name, 1.0))
        for i, name in zip(used, named, strict=True)
        if np.isfinite(sides[i]) and sides[i] > 0
    ]
    if odd:
        off = (np.array(odd) - np.median(odd)) / SIZE_SPREAD
        cost += 0.5 * float(np.minimum(off**2, 9.0).sum())
    if prior.rotation_deg is not None:
        turn = rotation_deg * (-1 if mirrored else 1) - prior.rotation_deg
        turn = (turn + 180) % 360 - 180
        cost += 0.5 * min(turn / prior.rotation_sd_deg, 6.0) ** 2
    return cost
