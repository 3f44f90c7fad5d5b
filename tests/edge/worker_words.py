"""Waits for what a worker sends."""

from __future__ import annotations

import time


def next_word(worker, *kinds, seconds=30):
    """Next message of one of these kinds; each single `read` must return at once."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        word = worker.read()
        if isinstance(word, kinds):
            return word
        time.sleep(0.01)
    raise AssertionError(f"nothing of {kinds} in {seconds} s")
