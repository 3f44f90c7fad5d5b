"""The pages under docs/ say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from edge.config import Config
from edge.contract.examples import example_result
from edge.errors import NULL_REASONS, REASONS, NullReason, Reason
from sharpedge.docs import write_docs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "systemd/README.md"]


def test_the_written_pages_are_those_of_this_code(tmp_path):
    stale = [
        path.relative_to(tmp_path)
        for path in write_docs(tmp_path)
        if path.read_text() != (ROOT / "docs" / path.relative_to(tmp_path)).read_text()
    ]
    assert not stale, "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_says_that_this_is_no_medical_device(page):
    assert "esearch use only, not a medical device" in " ".join(page.read_text().split())


def test_every_code_has_a_meaning_and_every_reason_an_advice():
    assert set(REASONS) == set(Reason)
    assert set(NULL_REASONS) == set(NullReason)
    assert all(text.meaning and text.advice for text in REASONS.values())


def test_every_setting_says_what_it_does():
    def bare(model, place):
        for key, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from bare(kind, f"{place}{key}.")
            elif not field.description:
                yield f"{place}{key}"

    assert not list(bare(Config, ""))


def test_the_example_keeps_the_contract():
    message = example_result()
    assert type(message).model_validate_json(message.model_dump_json()) == message
