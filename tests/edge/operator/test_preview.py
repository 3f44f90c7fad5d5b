"""Pictures of films for a browser, drawn in a process of its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from limb_results import FILM, a_result

from edge.model import Status
from edge.operator.preview import LONGEST_SIDE_PX, PreviewError, preview


def test_a_tiff_becomes_a_bounded_jpeg_with_bones_bright(tmp_path):
    film = np.zeros((2400, 1800), np.uint16)
    film[400:2000, 700:1100] = 50_000
    cv2.imwrite(str(tmp_path / "a.tif"), film)
    jpeg = preview((tmp_path / "a.tif").read_bytes())
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (LONGEST_SIDE_PX, LONGEST_SIDE_PX * 3 // 4)
    assert shown[800, 600] > 150
    assert shown[800, 100] < 50


def test_a_film_whose_joints_were_found_is_shown_with_them(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((FILM[1], FILM[0]), 60, np.uint8))
    film = (tmp_path / "a.png").read_bytes()
    held = {
        "erosion": None,
        "narrowing": None,
        "erosion_reason": "held",
        "narrowing_reason": "held",
    }
    limb = a_result(
        grades=dict.fromkeys(a_result().limb.joints, held), status=Status.HELD,
        reason="side_not_known", advice="state the side", subtotals=None,
    )  # fmt: skip
    labelled, alone = (
        cv2.imdecode(np.frombuffer(preview(film, limbs), np.uint8), cv2.IMREAD_COLOR)
        for limbs in ([limb], [limb.model_copy(update={"joints": ()})])
    )
    assert alone.std() < 2
    assert labelled.std() > 10
    # The strip lies below the film.
    assert labelled[-20:].mean() < 40


@pytest.mark.parametrize("film", [b"", b"GIF89a", b"\xff\xd8\xff\xd9", bytes(100_000)])
def test_what_is_no_film_is_told(film):
    with pytest.raises(PreviewError, match="cannot be decoded"):
        preview(film)


def test_a_film_that_takes_too_long_is_given_up(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((99, 99), np.uint8))
    with pytest.raises(PreviewError, match="too long"):
        preview((tmp_path / "a.png").read_bytes(), within_s=0.01)
