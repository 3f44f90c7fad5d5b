"""The table of outputs."""

from __future__ import annotations

import pytest

from edge.contract.topics import CHANNELS
from edge.outputs.table import (
    OUTPUTS,
    Output,
    function,
    has_own_id,
    holds_file_name,
    kinds_of,
    lanes_of,
    needs_receipt,
)


def made(kind, **more):
    return Output(kind=kind, content_type="text/csv", parcels="a:b", **more)


def test_every_row_stands_under_its_kind_and_names_functions_that_exist():
    for kind, output in OUTPUTS.items():
        assert output.kind == kind
        assert callable(function(output.parcels))
        assert callable(function(output.packet))


def test_every_output_over_mqtt_is_a_topic_of_the_contract_with_its_content_type():
    types = {channel.topic: channel.content_type for channel in CHANNELS}
    assert all(types[kind] == OUTPUTS[kind].content_type for kind in kinds_of("mqtt"))


@pytest.mark.parametrize("kind", ["", "a/b", "+", "#", "CSV", "state", "study", "a" * 33])
def test_what_cannot_be_a_topic_of_its_own_is_no_kind(kind):
    with pytest.raises(ValueError, match="cannot be the kind"):
        made(kind)


@pytest.mark.parametrize("lane", ["state", "study"])
def test_a_lane_of_other_messages_is_refused(lane):
    with pytest.raises(ValueError, match="lane"):
        made("csv", lane=lane)


def test_a_row_that_is_added_is_seen_at_once(monkeypatch):
    assert not needs_receipt("csv")
    assert has_own_id("csv")
    monkeypatch.setitem(OUTPUTS, "csv", made("csv", needs_receipt=False, lane="image"))
    monkeypatch.setitem(OUTPUTS, "note", made("note", destination="elsewhere"))
    assert kinds_of("mqtt") == ("result", "reject", "image", "csv")
    assert lanes_of("mqtt") == {"result": ("result", "reject"), "image": ("image", "csv")}
    assert lanes_of("elsewhere") == {"note": ("note",)}
    assert needs_receipt("note")
    assert not has_own_id("csv")
    assert not holds_file_name("csv")
