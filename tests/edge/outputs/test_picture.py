"""The labelled picture."""

from __future__ import annotations

import pytest

from edge.outputs.picture import with_comment


@pytest.mark.parametrize("size", [0, 10])
def test_the_picture_carries_its_id_and_the_notice_and_stays_a_jpeg(size):
    import cv2
    import numpy as np

    ok, data = cv2.imencode(".jpg", np.full((32, 32 + size), 90, np.uint8))
    assert ok
    marked = with_comment(data.tobytes(), "some-id")
    assert b"some-id; research use only" in marked[:100]
    picture = cv2.imdecode(np.frombuffer(marked, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (32, 32 + size)
