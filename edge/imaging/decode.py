"""Stage 0: bytes of a file to one 8-bit grey film, bones bright. (First form: JPEG and PNG.)."""

from __future__ import annotations

import re
from pathlib import PurePath

import cv2
import numpy as np

from edge.errors import FilmError, Reason
from edge.model import Laterality, LateralitySource, Limb, Radiograph, StatedIdentity


def decode_film(data: bytes, file_name: str, max_megapixels: float) -> Radiograph:
    """Decode one film."""
    if not data:
        raise FilmError(Reason.EMPTY_FILE)
    image = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if image is None:
        raise FilmError(Reason.NOT_AN_IMAGE)
    if image.size > max_megapixels * 1e6:
        raise FilmError(Reason.TOO_LARGE)
    stated = StatedIdentity()
    found = re.search(r"(?:^|[-_ ])([LR])([HF])$", PurePath(file_name).stem)
    if found:
        stated = StatedIdentity(
            limb=Limb.HAND if found[2] == "H" else Limb.FOOT,
            limb_source=LateralitySource.FILENAME,
            laterality=Laterality(found[1]),
            laterality_source=LateralitySource.FILENAME,
        )
    return Radiograph(
        np.asarray(image, np.uint8), (image.shape[1], image.shape[0]), np.eye(3), stated
    )
