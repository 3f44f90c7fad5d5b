"""The pages over a store of SQLite."""

from __future__ import annotations

import pytest
from clinic import Clinic
from selenium.common.exceptions import WebDriverException
from served import CHROMIUM, DRIVER, browser


@pytest.fixture
def clinic(database):
    return Clinic(database)


@pytest.fixture
def driver(served):  # noqa: ARG001 - it outlives the browser
    """A browser without a screen, in which the policy for content forbids nothing that is shown."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser on this machine (Debian packages chromium and chromium-driver)")
    try:
        it = browser()
    except WebDriverException as error:
        pytest.skip(f"the browser does not start here: {error.msg}")
    yield it
    log = it.get_log("browser")
    it.quit()
    # What the policy forbids would stand here.
    found = [line for line in log if line["level"] == "SEVERE"]
    assert [line for line in found if "(Not Found)" not in line["message"]] == []
