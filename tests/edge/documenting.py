"""Films that are DICOM objects with pictures of their own, and a scorer that reads their words.

Unlike those of `receiving`, their pixels can be decoded: a picture can be drawn of them.
"""

from __future__ import annotations

import re
from dataclasses import replace

from stand_in import StandIn, film_bytes

from edge.worker.factory import Made

_WORDS = re.compile(rb"stand-in ([^|]*)\|")


def dicom_film(words="limb=LH", *, uid=None, name="ascii", **tags):
    """A CR film of a patient whose words are in its Image Comments."""
    from dicom_films import a_film
    from pydicom.uid import generate_uid

    given = {"SOPInstanceUID": uid or generate_uid(), "ImageComments": f"stand-in {words}|"}
    return a_film(name, **(given | tags))


class DocumentedStandIn(StandIn):
    """The stand-in, for words inside DICOM files; its results have places on the film."""

    def score(self, data, file_name, operator=None, on_stage=None):
        found = _WORDS.search(data)
        words = data if found is None else film_bytes(found[1].decode())
        film = super().score(words, file_name, operator, on_stage)
        limbs = tuple(replace(limb, result=_placed(limb.result)) for limb in film.limbs)
        return replace(film, limbs=limbs)


def _placed(result):
    if result.limb is None:
        return result
    joints = tuple(
        joint.model_copy(update={"box": (10.0 + 20 * n, 50, 15, 15), "centre": (17 + 20 * n, 57)})
        for n, joint in enumerate(result.joints)
    )
    grow = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]]
    return result.model_copy(update={"transform": grow, "joints": joints})


def build(_config):
    """Factory named in the configuration of the tests."""
    return Made(DocumentedStandIn(), "e" * 64)
