"""The words on a picture that leaves name no patient."""

from __future__ import annotations

import pytest

from edge.config import Config
from edge.contract.pseudonyms import pseudonym
from edge.system.device_key import device_key
from edge.worker.captions import Captions
from edge.worker.messages import Task

TASK = Task(
    name="Mustermann-LH.jpg", public_name="film-3.jpg", sha256="ab" * 32, arrived_unix_s=1.7e9
)


def config_of(folder, **delivery):
    return Config.model_validate(
        {
            "site": {"name": "north", "room": "r1", "device": "box"},
            "folders": {"watch": folder / "drop", "state": folder},
            "delivery": delivery,
        }
    )


def test_a_caption_has_pseudonyms_site_time_and_a_number_for_the_film(tmp_path):
    key = device_key(tmp_path)
    caption = Captions(config_of(tmp_path)).caption(TASK, "1.2.3", "Mustermann")
    assert caption.file == "film-3.jpg"
    assert caption.site == "north/r1/box"
    assert caption.taken == "arrived 2023-11-14 22:13:20 UTC"
    assert caption.patient == pseudonym(key, "patient", "Mustermann")
    assert caption.study == pseudonym(key, "study", "1.2.3")
    assert "Mustermann" not in str(caption)


def test_a_film_without_a_study_is_its_own_as_in_its_message(tmp_path):
    key = device_key(tmp_path)
    caption = Captions(config_of(tmp_path)).caption(TASK, None, None)
    assert (caption.study, caption.patient) == (pseudonym(key, "film", TASK.sha256), "")


def test_the_scanner_s_name_is_written_only_where_the_site_sends_it(tmp_path):
    device_key(tmp_path)
    config = config_of(tmp_path, file_names=True)
    assert Captions(config).caption(TASK, None, None).file == "Mustermann-LH.jpg"


def test_without_a_key_there_are_no_pseudonyms(tmp_path):
    caption = Captions(config_of(tmp_path)).caption(TASK, "1.2.3", "Mustermann")
    assert (caption.patient, caption.study) == ("", "")


@pytest.mark.parametrize("at", [None, 1e18, float("-1e18")])
def test_a_time_that_no_calendar_has_is_left_out(tmp_path, at):
    task = TASK.model_copy(update={"arrived_unix_s": at})
    assert Captions(config_of(tmp_path)).caption(task, None, None).taken == ""
