"""The shipped film: a simulated left hand, for the self-test and for doubtful outputs.

Layer: scoring; reads one file of the package's data.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

from edge.imaging.decode import decode_film
from edge.pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from edge.model import GreyImage

FILM_NAME = "P0001-LH.jpg"


def golden_film() -> bytes:
    """Bytes of the shipped film: a simulated left hand."""
    return (resources.files("edge") / "data" / "self-test.jpg").read_bytes()


@functools.cache
def reference_film() -> GreyImage:
    """Pixels of the self-test's film [h, w] uint8: every engine's output varies over it."""
    return decode_film(golden_film(), FILM_NAME, PipelineSettings().max_megapixels).pixels
