"""Pseudonyms of studies and patients."""

from __future__ import annotations

from edge.contract.pseudonyms import pseudonym


def test_pseudonyms_depend_on_key_kind_and_value_and_do_not_show_it():
    made = {pseudonym(k, kind, v) for k in (b"1", b"2") for kind in ("study", "patient")
            for v in ("MUSTERMANN", "M2")}  # fmt: skip
    assert len(made) == 8
    assert not any("MUSTER" in one for one in made)
