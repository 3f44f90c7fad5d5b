"""Films whose side nobody states, through the whole appliance with its real engines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_markers import marked, without_letters

REAL = "edge.worker:film_scorer"


def png(pixels):
    ok, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert ok
    return data.tobytes()


@pytest.mark.usefixtures("engines")
def test_a_marker_gives_the_side_or_holds_the_film(broker, subscriber, make_appliance, patient):
    left = marked(without_letters(patient["LH"].film), "L")
    wrong = marked(without_letters(patient["RF"].film), "L")
    it = make_appliance(broker.port, factory=REAL, extra="threads = 1\n").start()
    it.put("scan1.png", png(left))
    (result,) = subscriber.wait("result", 1, 60)
    assert (result.limb, result.laterality, result.laterality_source) == ("hand", "L", "marker")
    it.put("scan2.png", png(left[:, ::-1]))
    it.put("scan3.png", png(wrong))
    rejects = {it.reason for it in subscriber.wait("reject", 2, 60)}
    assert rejects == {"mirrored_film", "side_conflict"}
    assert len(subscriber.of("result")) == 1
