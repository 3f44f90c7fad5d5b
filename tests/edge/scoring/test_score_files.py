from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from stand_in import VERSIONS, LargePictures, StandIn, film_bytes

from edge.anatomy import Limb
from edge.errors import FilmError, NullReason, Reason
from edge.model import JointScore, Laterality, LimbResult, OperatorStatement, Status
from edge.scoring.score_files import (
    LARGEST_FILE_MIB,
    Wanted,
    as_json,
    as_text,
    exit_status,
    films_in,
    lacks_scorer,
    read_film,
    score_files,
)

LIMB_KEYS = {
    "file", "limb_index", "status", "reason", "limb", "laterality", "laterality_source", "view",
    "transform", "joints", "subtotals", "n_scored", "n_expected", "versions",
}  # fmt: skip
JOINT_KEYS = {
    "name", "name_candidate", "box", "centre", "erosion", "erosion_expected", "erosion_reason",
    "narrowing", "narrowing_expected", "narrowing_reason", "flags",
}  # fmt: skip


def put(folder, name, text="limb=LH"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film_bytes(text))
    return path


def of_status(status):
    return LimbResult(file="x", limb_index=0, status=status, versions=VERSIONS)


def test_folders_give_their_films_in_order_without_what_lies_beside_them(tmp_path):
    wanted = [put(tmp_path, name) for name in ("a.jpg", "b.dcm", "sub/c.png")]
    for name in (".hidden.jpg", "a_mask.png", "truth.jsonl", ".git/x.jpg", "out/a_0.jpg"):
        put(tmp_path, name)
    assert list(films_in([tmp_path], tmp_path / "out")) == wanted
    named = [tmp_path / "a_mask.png", tmp_path / "a.jpg"]
    assert list(films_in(named)) == named


def test_films_in_the_out_folder_itself_are_still_found(tmp_path):
    film = put(tmp_path, "a.jpg")
    assert list(films_in([tmp_path], tmp_path)) == [film]


def test_what_is_no_film_file_is_refused_with_its_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for path in (tmp_path / "pipe", tmp_path / "dangling", tmp_path):
        with pytest.raises(FilmError) as caught:
            read_film(path)
        assert caught.value.reason is Reason.NOT_A_REGULAR_FILE
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate((LARGEST_FILE_MIB << 20) + 1)
    with pytest.raises(FilmError) as caught:
        read_film(tmp_path / "huge")
    assert caught.value.reason is Reason.TOO_LARGE


def test_one_bad_film_ends_as_itself_and_the_others_flow(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    unreadable = tmp_path / "unreadable"
    unreadable.symlink_to("/proc/self/mem")
    films = [
        put(tmp_path, "good.jpg"),
        tmp_path / "pipe",
        put(tmp_path, "raises.jpg", "raise=Mustermann"),
        unreadable,
        put(tmp_path, "last.jpg"),
    ]
    scored = list(score_files(StandIn(), films, None))
    assert [one.path for one in scored] == films
    reasons = [one.results[0].reason if one.results else one.fault for one in scored]
    assert reasons[:3] == [None, "not_a_regular_file", "internal"]
    assert reasons[3].startswith("cannot be read (")
    assert reasons[4] is None
    assert "Mustermann" not in as_json(scored[2].results[0])


def test_pictures_of_films_with_one_stem_lie_apart_and_no_film_is_written_over(tmp_path):
    films = [put(tmp_path, name) for name in ("a/x.jpg", "b/x.jpg", "x_0.jpg", "x-2_0.jpg")]
    before = [film.read_bytes() for film in films]
    scored = list(score_files(LargePictures(), films, Wanted(tmp_path)))
    pictures = [picture for one in scored for picture in one.pictures]
    assert len(set(pictures)) == 4
    assert not set(pictures) & set(films)
    assert [film.read_bytes() for film in films] == before
    again = list(score_files(LargePictures(), films, Wanted(tmp_path)))
    assert [picture for one in again for picture in one.pictures] == pictures


class Drawn:
    """Keeps the captions of the pictures that are asked for."""

    def __init__(self):
        self.captions = []

    def local(self, caption):
        self.captions.append(caption)
        return film_bytes("picture")

    def transparent(self):
        return b"labels alone"


class Drawing(StandIn):
    def __init__(self, taken=None):
        self.drawn, self.taken = Drawn(), taken

    def score(self, data, file_name, operator=None, on_stage=None):
        film = super().score(data, file_name, operator, on_stage)
        limbs = tuple(replace(limb, drawing=self.drawn) for limb in film.limbs)
        return replace(film, limbs=limbs, taken=self.taken)


def test_overlays_are_written_only_where_they_are_wanted(tmp_path):
    film = put(tmp_path, "a.jpg")
    for overlays in (False, True):
        wanted = Wanted(tmp_path / "out", overlays=overlays)
        [scored] = score_files(Drawing(), [film], wanted)
        names = [path.name for path in scored.pictures]
        assert names == ["a_0.jpg", "a_0_overlay.png"][: 1 + overlays]


def test_a_picture_has_the_day_of_the_tags_else_of_the_file(tmp_path):
    film = put(tmp_path, "a.jpg")
    os.utime(film, (1.7e9, 1.7e9))
    for taken, words in (
        ("2026-03-04 10:31", "taken 2026-03-04 10:31"),
        (None, "file dated 2023-11-14 22:13 UTC"),
    ):
        scorer = Drawing(taken)
        [scored] = score_files(scorer, [film], Wanted(tmp_path / "out"))
        assert [caption.taken for caption in scorer.drawn.captions] == [words]
        assert scored.taken == taken


def test_an_operator_s_word_counts_for_every_film(tmp_path):
    films = [put(tmp_path, name, "reason=side_not_known") for name in ("a.jpg", "b.jpg")]
    word = OperatorStatement(Limb.FOOT, Laterality.RIGHT)
    for scored in score_files(StandIn(), films, None, operator=word):
        result = scored.results[0]
        assert (result.limb, result.laterality) == (Limb.FOOT, Laterality.RIGHT)


def test_without_recursion_only_the_folder_itself_is_searched(tmp_path):
    film = put(tmp_path, "a.jpg")
    put(tmp_path, "below/b.jpg")
    assert list(films_in([tmp_path], recursive=False)) == [film]


def test_a_json_line_is_ascii_and_has_every_promised_key(tmp_path):
    film = tmp_path / os.fsdecode(b"M\xfcller-\xc3\xa9.jpg")
    film.write_bytes(film_bytes("limb=LH"))
    [scored] = score_files(StandIn(), [film], None)
    line = as_json(scored.results[0])
    assert line.isascii()
    assert "\n" not in line
    value = json.loads(line)
    assert value["file"] == "M�ller-é.jpg"
    assert set(value) - LIMB_KEYS == {"advice", "flags", "notice", "pixel_size"}
    assert set(value) >= LIMB_KEYS
    for joint in value["joints"]:
        assert set(joint) - JOINT_KEYS == {"confidence", "space"}
        assert set(joint) >= JOINT_KEYS


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ([Status.SCORED], 0),
        ([Status.SCORED, Status.HELD], 3),
        ([Status.REJECTED, Status.HELD, Status.SCORED], 4),
    ],
)
def test_the_exit_status_is_that_of_the_worst_film(statuses, wanted):
    assert exit_status([of_status(status) for status in statuses]) == wanted


def test_a_missing_grade_is_a_dash_with_its_reason_never_a_zero(tmp_path):
    [scored] = score_files(StandIn(), [put(tmp_path, "x.jpg")], None)
    result = scored.results[0]
    joints = (
        JointScore(name="MCP2", erosion_reason="absent", narrowing_reason="absent"),
        JointScore(name="MCP3", erosion=0, narrowing=4),
    )
    text = as_text(scored.__class__(scored.path, (result.model_copy(update={"joints": joints}),)))
    rows = [line.split() for line in text.splitlines()]
    assert ["MCP2", "-", "-", "absent"] in rows
    assert ["MCP3", "0", "4"] in rows
    assert "erosion 10 of 50 (10 of 10 joints scored)" in text
    assert "narrowing 9 of 36 (9 of 9 joints scored)" in text


def test_held_films_show_their_advice(tmp_path):
    [scored] = score_files(StandIn(), [put(tmp_path, "x.jpg", "reason=side_not_known")], None)
    assert as_text(scored).startswith("x.jpg: held, side_not_known: sharpedge release")


def test_a_missing_scorer_is_told_from_any_other_missing_grade():
    def with_reason(reason):
        return of_status(Status.SCORED).model_copy(
            update={"joints": (JointScore(erosion_reason=reason),)}
        )

    assert lacks_scorer([with_reason(NullReason.NO_SCORER)])
    assert not lacks_scorer([with_reason(NullReason.HELD), of_status(Status.REJECTED)])
