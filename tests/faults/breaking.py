"""Imported by a daemon that is to be broken: kills it at a named step, or moves its clock.

``BREAK`` is ``<step>:<n>`` (killed at the n-th time), ``term-<step>:<n>`` (told to stop there),
``clock:<file>`` (the wall clock goes by the seconds that the file holds), ``errors:<file>`` (the
watched folder's files fail with the error that the file names), ``tidy:<seconds>`` (retention at
that pace) or ``acknowledged:<seconds>`` (the deadline of an acknowledgement). The product knows
nothing of this.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import time
from pathlib import Path

STAGES = {"find": "decoded", "detect": "segmented", "score": "detected"}
STEPS = (
    "claimed", "tried", "decoded", "segmented", "detected", "graded", "scored", "committed",
    "answered", "drawn", "written", "pictured", "sending", "sent", "noted", "acking", "acked",
    "receipting", "receipted", "moving", "moved", "parted",
)  # fmt: skip


class Fuse:
    """Ends the process at the n-th time that its step is reached."""

    def __init__(self, step, count, signal_number=signal.SIGKILL):
        self._step, self._left, self._signal = step, count, signal_number

    def reach(self, step):
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)

    def wrap(self, owner, name, before=None, after=None):
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args, **kwargs):
            if before:
                self.reach(before)
            result = original(*args, **kwargs)
            if after:
                self.reach(after)
            return result

        setattr(owner, name, wrapped)


def arm(step, count):
    from edge.daemon import films, parting
    from edge.delivery.endings import Endings
    from edge.delivery.link import Link
    from edge.delivery.outbox import Outbox
    from edge.delivery.pacs.queue import PacsQueue
    from edge.journal.journal import Journal
    from edge.journal.outcomes import Outcomes
    from edge.outputs import picture
    from edge.outputs.document_rows import DocumentRows

    told = step.removeprefix("term-")
    fuse = Fuse(told, count, signal.SIGKILL if told == step else signal.SIGTERM)
    fuse.wrap(Journal, "claim", after="claimed")
    fuse.wrap(Journal, "begin_try", after="tried")
    fuse.wrap(Outcomes, "finish", before="scored", after="committed")
    fuse.wrap(Journal, "note_original", before="moved", after="parted")
    fuse.wrap(films.Films, "on_outcome", before="graded", after="answered")
    fuse.wrap(films.Films, "on_pictures", before="drawn")
    fuse.wrap(picture, "write_whole", after="written")
    fuse.wrap(Outcomes, "drawn", after="pictured")
    fuse.wrap(parting, "part_with", before="moving")
    fuse.wrap(Link, "publish", before="sending", after="sent")
    fuse.wrap(Outbox, "note_sent", after="noted")
    fuse.wrap(Endings, "acknowledged", before="acking", after="acked")
    fuse.wrap(Endings, "receipts", before="receipting", after="receipted")
    fuse.wrap(DocumentRows, "written", before="document-written", after="document-queued")
    fuse.wrap(PacsQueue, "stored", before="document-stored", after="document-waiting")
    fuse.wrap(PacsQueue, "committed", before="document-reported", after="document-closed")
    hear = films.Films.on_stage

    def on_stage(self, station, word):
        hear(self, station, word)
        fuse.reach(STAGES.get(word.name))

    films.Films.on_stage = on_stage


def follow(file):
    real = time.time
    time.time = lambda: real() + float(Path(file).read_text())


def fail(file):
    from edge.intake import collector

    def wrap(name):
        original = getattr(collector, name)

        def wrapped(*args):
            try:
                word = Path(file).read_text()
            except FileNotFoundError:
                word = ""
            if word:
                raise OSError(getattr(errno, word), word)
            return original(*args)

        setattr(collector, name, wrapped)

    wrap("look_at")
    wrap("take")


def tidy_often(pause_s):
    from edge.daemon import housekeeping

    housekeeping._TIDY_S = pause_s


if "BREAK" in os.environ:
    kind, _, value = os.environ["BREAK"].partition(":")
    if kind == "clock":
        follow(value)
    elif kind == "errors":
        fail(value)
    elif kind == "acknowledged":
        from edge.delivery import flights

        flights.ACKNOWLEDGED_S = float(value)
    elif kind == "tidy":
        tidy_often(float(value))
    else:
        arm(kind, int(value))
