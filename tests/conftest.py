"""Fixtures that tests of several packages share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# Helpers of the tests. The root first: tests/edge would else be taken for the package edge.
sys.path[:0] = [
    str(path)
    for path in (
        TESTS.parent,
        TESTS,
        TESTS / "benchmarks",
        TESTS / "brokers",
        TESTS / "dashboard",
        TESTS / "edge",
        TESTS / "edge" / "imaging",
        TESTS / "export",
        TESTS / "faults",
        TESTS / "packaging",
        TESTS / "sharpedge",
        TESTS / "training",
    )
]

from clean_root import CleanRoot, NoCleanRootError  # noqa: E402
from npm_tools import NoNpmToolsError, NpmTools  # noqa: E402


@pytest.fixture
def clean_root(tmp_path):
    """A root file system over this machine's, without a network; skips where none is allowed."""
    try:
        it = CleanRoot(tmp_path)
    except NoCleanRootError as error:
        pytest.skip(f"no clean root: {error}")
    yield it
    it.close()


@pytest.fixture(scope="session")
def npm_tools():
    """Programs from npm; skips where they cannot be had."""
    try:
        return NpmTools()
    except NoNpmToolsError as error:
        pytest.skip(str(error))
