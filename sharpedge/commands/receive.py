"""The command ``receive``.

Layer: sharpedge; parses, calls.
"""

from __future__ import annotations

import signal
import sys

import typer

from sharpedge.commands.options import ConfigOption, fail


def receive(config: ConfigOption = None) -> None:
    """Receive films by DICOM C-STORE into the inbox, which `run` follows."""
    # A stop that is asked for while it starts is a stop, not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from edge.config import load
    from edge.journal.places import Places
    from edge.system.logs import set_up_logs

    it = load(config)
    if not it.dicom.port:
        fail("dicom.port is 0: no receiver; fix: set port and callers in [dicom]", 2)
    try:
        from edge.receive import receiver
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; fix: pip install 'sharpedge[dicom]'", 1)
    set_up_logs(it.logs.format, it.logs.level)
    code = receiver.run(
        it.dicom,
        Places.below(it.state_folder).inbox,
        limit_mib=it.limits.max_file_mib,
        remember_days=it.retention.journal_days,
    )
    raise typer.Exit(code)
