"""An appliance's box for the doctor's tests, in one temporary folder."""

from __future__ import annotations

import os

from edge.config import Config
from sharpedge.doctor.account import account
from sharpedge.doctor.box import Box

NOBODY = 65534


def box_in(folder, *, uid=None, **sections):
    """A box whose drop folder and state folder are there; ``sections`` replace settings."""
    for name in ("drop", "state"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "state").chmod(0o750)
    folders = {"watch": folder / "drop", "state": folder / "state"} | sections.pop("folders", {})
    loaded = Config.model_validate({"folders": folders, **sections})
    return Box(loaded, None, account(os.geteuid() if uid is None else uid))


def fault(findings, check):
    """The finding of a check that is not in order; it must say what to do."""
    found = [it for it in findings if it.check == check and it.level in {"failed", "warning"}]
    assert len(found) == 1, findings
    assert found[0].what
    assert found[0].cause
    assert found[0].fix
    return found[0]


def faults(findings):
    return [(it.check, it.level, it.what) for it in findings if it.level in {"failed", "warning"}]
