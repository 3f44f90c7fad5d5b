"""Open pages hear of every change."""

from __future__ import annotations

import asyncio
import threading

from dashboard.web.changes import Changes


def test_a_change_from_another_thread_is_heard():
    async def page():
        changes = Changes()
        threading.Timer(0.05, changes.tell).start()
        return await changes.after(0, 20)

    assert asyncio.run(page()) == 1


def test_a_change_that_came_before_is_not_waited_for():
    changes = Changes()
    changes.tell()
    assert asyncio.run(changes.after(0, 20)) == 1


def test_without_a_change_the_wait_has_an_end_and_nothing_is_left():
    changes = Changes()
    assert asyncio.run(changes.after(0, 0.01)) == 0
    assert changes._waiting == set()


def test_at_the_end_nobody_waits():
    async def page():
        changes = Changes()
        threading.Timer(0.05, changes.close).start()
        await changes.after(0, 20)
        return changes.is_closed

    assert asyncio.run(page())
