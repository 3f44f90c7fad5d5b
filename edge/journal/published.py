"""Compares a head that was published earlier with the log.

Layer: journal; reads the log and appends to it through a `Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.journal.chain import CUT_FOUND

if TYPE_CHECKING:
    from edge.journal.chain import Head
    from edge.journal.store import Store


def published_row_is_missing(store: Store, head: Head, *, first_start: bool = False) -> bool:
    """Whether the row of a published head is missing from the log, or is another one.

    A missing row is recorded in the log, once, and the counters are set above every number that
    may be in use. At the ``first_start`` of a journal another journal had published the head: its
    row is then not missing.
    """
    if head.row <= store.checkpoint().row or store.code_of(head.row) == head.mac:
        return False
    with store.transaction():
        if store.was_rebuilt():
            return True
        if first_start:
            store.skip_numbers()
            return False
        if not store.cut_is_recorded(head):
            store.skip_numbers()
            store.log(CUT_FOUND, published=head.row, code=head.mac)
    return True
