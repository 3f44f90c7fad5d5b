"""The dashboard's demo: a broker and three simulated rooms on this machine, and the dashboard.

Their results are those of simulated films that the method has scored here, once; their rooms,
patients and times are made up. Nothing here serves a clinic.

Layer: sharpedge; starts a broker, serves one address of this machine, writes one folder.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import cv2
from paho.mqtt.enums import MQTTProtocolVersion

from dashboard.serve import serve
from dashboard.settings import BrokerSettings, Settings, WebSettings
from dashboard.simulated_room import SimulatedRoom
from edge.contract.ids import DeviceName
from edge.contract.payloads import Alert, Presence
from edge.engine.loader import load_engines
from edge.errors import Reason
from edge.model import DISCLAIMER, LimbResult, PictureForm
from edge.pipeline.picture.words import Caption
from edge.pipeline.settings import PipelineSettings
from edge.scoring.film_scorer import FilmScorer
from edge.system.local_broker import local_broker
from edge.system.paths import built_engines
from phantom.command import LIMBS, patient_film, patient_grades

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dashboard.simulated import SimulatedFilm
    from edge.contract.payloads import ResultMessage
    from edge.system.local_broker import BrokerChoice

_SEED = 31
_GRADES = ("real", "flat")
"""Grades of the first and of the later films: few joints are damaged, and many."""
_ROOMS = ("xray1", "xray2", "xray3")
_PACE_S = 12.0
_HEALTH_S = 20.0
_DAY_S = 86_400.0


def run_demo(folder: Path, port: int, say: Callable[[str], None], broker: BrokerChoice) -> int:
    """Serve the dashboard with three simulated rooms until a signal.

    ``folder`` keeps database and scored films for the next time. Raises `EdgeError` where the
    engines or a broker are missing, and `DashboardError`.
    """
    say(f"dashboard demo: {DISCLAIMER}. Rooms, patients and films are simulated.")
    scored = _Scored(folder / "films", say)
    with local_broker(broker) as running:
        version = MQTTProtocolVersion.MQTTv5 if running.speaks_mqtt5 else (
            MQTTProtocolVersion.MQTTv311)  # fmt: skip
        settings = Settings(
            state=folder, web=WebSettings(port=port, stale_s=60.0),
            broker=BrokerSettings(
                port=running.port, protocol="auto" if running.speaks_mqtt5 else "3.1.1"
            ),
        )  # fmt: skip
        rooms = [
            SimulatedRoom(
                DeviceName("clinic", name, f"box{name[-1]}"), running.port, scored, version
            )
            for name in _ROOMS
        ]
        stopped = threading.Event()
        day = threading.Thread(target=_day, args=(rooms, scored, stopped), daemon=True)
        day.start()
        try:
            return serve(settings, folder, say)
        finally:
            stopped.set()
            day.join(5)
            for room in rooms:
                room.close()


def _day(rooms: list[SimulatedRoom], scored: _Scored, stopped: threading.Event) -> None:
    """Patients of an earlier year and of today, held films, and then a film now and then."""
    # The dashboard's session must be there before anything is sent.
    stopped.wait(3)
    now_s = time.time()
    for number, room in enumerate(rooms):
        alerts = (Alert(code="disk_low", detail="less than min_free_mib is free"),)
        room.tell(*((Presence.DEGRADED, *alerts) if number == 2 else (Presence.ONLINE,)))
        for patient in range(2):
            for visit, ago_s in ((1, 400 * _DAY_S), (2, 3600.0 * (patient + 1))):
                for limb, side in LIMBS:
                    at_s = now_s - ago_s - 60 * number
                    room.scored(room.film(f"P{patient}", visit, limb, side, at_s))
        reason = (Reason.SIDE_NOT_KNOWN, Reason.SHAPE_IMPLAUSIBLE, Reason.SIDE_CONFLICT)[number]
        film = room.film("P9", 2, *LIMBS[number], now_s - 120 * (number + 1))
        room.held(film, reason, scored.of_held(film))
    told_s, films = now_s, 0
    while not stopped.wait(_PACE_S):
        limb, side = LIMBS[films % len(LIMBS)]
        room = rooms[films // len(LIMBS) % len(rooms)]
        room.scored(room.film(f"Q{films // len(LIMBS)}", 2, limb, side, time.time()))
        films += 1
        if time.time() - told_s > _HEALTH_S:
            told_s = time.time()
            # The third room falls silent.
            for one in rooms[:2]:
                one.tell()


class _Scored:
    """Results and pictures of simulated films, scored once and kept in a folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        places = [(visit, index) for visit in (0, 1, 2) for index in range(len(LIMBS))]
        missing = [it for it in places if not self._path(*it, ".json").is_file()]
        if missing:
            say(f"scoring {len(missing)} simulated films, once")
            scorer = FilmScorer(load_engines(built_engines(), threads=0), PipelineSettings())
            for visit, index in missing:
                self._score(scorer, visit, index)

    def __call__(
        self, film: SimulatedFilm, supersedes: str | None
    ) -> tuple[ResultMessage, bytes | None]:
        """Result and picture of a film that was never taken."""
        index = LIMBS.index((film.limb, film.side))
        visit = 1 if time.time() - film.at_s > 100 * _DAY_S else 2
        limb = LimbResult.model_validate_json(self._path(visit, index, ".json").read_bytes())
        return film.of(limb, supersedes), self._path(visit, index, ".jpg").read_bytes()

    def of_held(self, film: SimulatedFilm) -> bytes:
        """Picture of a film whose name does not tell the side."""
        return self._path(0, LIMBS.index((film.limb, film.side)), ".jpg").read_bytes()

    def _path(self, visit: int, index: int, suffix: str) -> Path:
        return self._folder / f"visit{visit}-{index}{suffix}"

    def _score(self, scorer: FilmScorer, visit: int, index: int) -> None:
        grades = patient_grades(_SEED, 1, "flat" if visit == 2 else "real")
        made = patient_film(grades, _SEED, 1, index, "eval")
        encoded = cv2.imencode(".png", made.film.pixels)[1].tobytes()
        # Of a film whose name says no side the picture is that of a held one.
        name = f"{made.stem}.png" if visit else "IMG0001.png"
        found = scorer.score(encoded, name).limbs[0]
        picture = None
        if found.drawing is not None:
            caption = Caption(file="film", site="simulated room")
            picture = found.drawing.sent(caption, PictureForm.MASKED)
        self._path(visit, index, ".jpg").write_bytes(picture or b"")
        self._path(visit, index, ".json").write_text(found.result.model_dump_json())
