"""Makes the intakes of an appliance: of its drop folder, and of the inbox of received films.

Layer: daemon; starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.intake.intake import Intake
from edge.intake.intakes import Intakes
from edge.intake.settings import IGNORED
from edge.intake.settle import Patience
from edge.intake.watch import Folder, WatchMode
from edge.journal.places import Places
from edge.journal.recall import Recall

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from edge.config import Config


def intakes_of(
    config: Config,
    drop: Folder,
    root: Path,
    left_over: Collection[bytes],
    wake: Callable[[], None],
    passes_over: bool,
) -> Intakes:
    """Make the intakes over the state folder ``root``.

    Parameters
    ----------
    left_over
        Paths of films that an earlier run had claimed: they are taken last.
    wake
        Called, from a thread, when a film can be fetched.
    passes_over
        Whether what lies in the drop folder at the start is left alone. Films in the inbox were
        acknowledged, and are always taken.
    """
    folders = config.folders

    def intake(folder: Folder, mode: WatchMode, *, skips: bool) -> Intake:
        return Intake(
            folder,
            mode,
            patience=Patience(
                closed_s=folders.closed_s,
                incomplete_s=folders.incomplete_s,
                unwatched_s=folders.unwatched_s,
                abandoned_s=folders.abandoned_s,
            ),
            rescan_s=folders.rescan_s,
            limit_bytes=config.limits.max_file_mib << 20,
            recall=Recall(root / "journal.sqlite"),
            last=left_over,
            wake=wake,
            pass_over=skips,
        )

    inbox = Folder(Places.below(root).inbox.absolute(), IGNORED)
    return Intakes(
        intake(drop, folders.mode, skips=passes_over), intake(inbox, WatchMode.AUTO, skips=False)
    )
