"""An intake over a drop folder, whose films are gathered."""

from __future__ import annotations

import threading
import time

import pytest
from appliance import until

from edge.intake.intake import Intake
from edge.intake.settings import IGNORED
from edge.intake.settle import Patience
from edge.intake.watch import Folder, WatchMode


@pytest.fixture
def follow(tmp_path):
    """Start an intake over ``tmp_path/drop``; films are gathered in a list."""
    started = []

    def start(
        mode=WatchMode.AUTO,
        *,
        rescan_s=30.0,
        known=None,
        limit_bytes=1 << 20,
        make=True,
        incomplete_s=0.5,
        gathering=True,
        pass_over=False,
    ):
        drop = tmp_path / "drop"
        if make:
            drop.mkdir(exist_ok=True)
        films = []
        it = Intake(
            Folder(drop, IGNORED, (drop / "own",)),
            mode,
            patience=Patience(
                closed_s=0.3, incomplete_s=incomplete_s, unwatched_s=0.6, abandoned_s=2.0
            ),
            rescan_s=rescan_s,
            limit_bytes=limit_bytes,
            recall=(known or {}).get,
            last=(),
            wake=lambda: None,
            pass_over=pass_over,
        )
        it.start()
        until(lambda: it.following)
        done = threading.Event()

        def gather():
            while not done.is_set():
                film = it.fetch()
                if film is None:
                    time.sleep(0.01)
                else:
                    films.append(film)

        if gathering:
            threading.Thread(target=gather, daemon=True).start()
        started.append((it, done))
        return drop, films, it

    yield start
    for it, done in started:
        it.stop()
        until(lambda it=it: not it.is_alive())
        done.set()
