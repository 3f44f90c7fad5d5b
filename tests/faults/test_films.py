"""Hostile, slow and doubled films, and what may be read of patients outside."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from appliance import Subscriber, until
from stand_in import film_bytes

sys.path.append(str(Path(__file__).resolve().parents[1] / "edge" / "imaging"))
from film_files import chunk, dataset, dicom, encoded, film, jpeg, png, png16, smooth, tiff

from edge.errors import REASONS, Reason
from edge.intake.settings import IGNORED
from edge.intake.watch import Folder
from edge.system.paths import built_engines

RECEIPTS = '[delivery]\nmode = "receipt"\nresend_s = 2\n'
REAL = "edge.worker:film_scorer"


@pytest.fixture
def engines():
    if not any(built_engines().glob("*-detect.json")):
        pytest.skip("no engines are built: sharpedge export")


def bomb_png(width=65_536, height=65_536):
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def rows_png():
    """Rows that inflate to a thousand times the picture that the header states."""
    whole = png(smooth(100, 80))
    return whole[:33] + chunk(b"IDAT", zlib.compress(bytes(1 << 28), 9)) + chunk(b"IEND", b"")


def scans_jpeg():
    """A progressive JPEG with a thousand scans."""
    grey = np.full((800, 800), 100, np.uint8)
    whole = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * 1000 + b"\xff\xd9"


def nested_dicom():
    """Sequences inside sequences inside sequences."""
    whole = film(smooth(100, 80).astype(np.uint16))
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return whole[:400] + opening * 20_000 + whole[400:]


def looped_tiff():
    """A directory that names itself as the next."""
    whole = tiff(smooth(100, 80))
    return whole[:4] + struct.pack("<I", 4) + whole[8:]


def bomb_jpeg():
    data = bytearray(jpeg(smooth(80, 112)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_535, 65_535)
    return bytes(data)


def hostile():
    """Name and bytes of films that are damaged, odd, or larger than they look."""
    grey = smooth(700, 500)
    sixteen = grey.astype(np.uint16) * 200
    colour = np.dstack([grey] * 3)
    floats = np.full((80, 80), np.nan, np.float32)
    floats_tiff = cv2.imencode(".tiff", floats)[1].tobytes()
    cmyk = bytearray(jpeg(grey))
    return {
        "empty.jpg": b"",
        "rubbish.jpg": os.urandom(5000),
        "zeros.jpg": bytes(5000),
        "bomb.png": bomb_png(),
        "bomb.jpg": bomb_jpeg(),
        "bomb.tif": tiff(grey, tags={256: 65_000, 257: 65_000}),
        "grey.png": encoded(".png", grey),
        "sixteen.png": png16(sixteen),
        "colour.png": encoded(".png", colour),
        "alpha.png": encoded(".png", np.dstack([colour, grey])),
        "onebit.png": png(np.packbits(grey > 128, axis=1), depth=1),
        "palette.png": png(grey, colour=3),
        "float.tif": floats_tiff,
        "pages.tif": tiff(grey, pages=3),
        "cmyk.jpg": bytes(cmyk[:-2]) + b"\xff\xee\x00\x0eAdobe\0d\0\0\0\0\2" + b"\xff\xd9",
        "tiny.png": encoded(".png", grey[:10, :10]),
        "frames.dcm": dicom(dataset(sixteen, NumberOfFrames="3"), sixteen.tobytes() * 3),
        "report.dcm": film(sixteen)[: -sixteen.nbytes - 12],
        "rows.png": rows_png(),
        "scans.jpg": scans_jpeg(),
        "nested.dcm": nested_dicom(),
        "loop.tif": looped_tiff(),
        "comments.jpg": jpeg(grey)[:2]
        + (b"\xff\xfe\xff\xff" + bytes(65533)) * 100
        + jpeg(grey)[2:],
        "webp.webp": cv2.imencode(".webp", colour)[1].tobytes(),
        "pdf.jpg": b"%PDF-1.4" + os.urandom(3000),
        "thin.png": encoded(".png", np.zeros((1, 30_000), np.uint8)),
        "animated.gif": b"GIF89a" + bytes(100),
        "notes.txt": b"hello",
    }


@pytest.mark.usefixtures("engines")
def test_hostile_films(broker, make_appliance, scale, figures):
    """T13: hostile films: each ends with a stable reason in under 2 s, or is scored."""
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory=REAL, extra="threads = 1\n").start()
    it.put("warm.png", hostile()["grey.png"])
    dashboard.wait("reject", 1, 60)
    children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    (worker,) = children

    def rss_mib():
        return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) / 256

    before = rss_mib()
    films = dict(hostile())
    del films["grey.png"]
    sixteen = smooth(700, 500).astype(np.uint16) * 16
    wholes = {"jpg": jpeg(smooth(900, 700)), "png": encoded(".png", smooth(700, 500)),
              "tif": tiff(smooth(700, 500)), "dcm": film(sixteen)}  # fmt: skip
    for ending, whole in wholes.items():
        for percent in range(1, 100, scale(40, 1 if ending == "jpg" else 7)):
            films[f"cut{percent}.{ending}"] = whole[: len(whole) * percent // 100]
    slowest = 0.0
    reasons = {}
    for name, data in films.items():
        it.put(name, data)
        told = len(dashboard.of("reject"))
        until(lambda told=told: len(dashboard.of("reject")) > told, 30, name)
        reject = dashboard.of("reject")[-1]
        reasons[name] = reject.reason
        slowest = max(slowest, reject.ledger.queued - reject.ledger.picked_up)
        assert Reason(reject.reason) in REASONS
    assert all(reasons[name] != "internal" for name in reasons), reasons
    assert {reasons[n] for n in ("bomb.png", "bomb.jpg", "bomb.tif")} == {"too_large"}
    after = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
    assert after == children, "no film may have ended the worker"
    figures |= {
        "films": len(films),
        "reasons": len(set(reasons.values())),
        "slowest in s": round(slowest, 2),
        "worker's RSS grown by MiB": round(rss_mib() - before),
    }
    assert it.audit()["findings"] == []
    dashboard.close()


def test_names_and_things_that_are_no_films(broker, make_appliance, figures):
    """T13, T31: links, pipes, sockets, devices, folders like images, hostile names."""
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port).start()
    drop = os.fsencode(it.drop)
    (it.drop / "zero.jpg").symlink_to("/dev/zero")
    (it.drop / "loop").symlink_to(it.drop)
    os.mkfifo(drop + b"/pipe.jpg")
    (it.drop / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(it.drop / "socket.jpg"))
    odd = 5
    if os.geteuid() == 0:
        os.mknod(drop + b"/device.jpg", 0o600 | 0o020000, os.makedev(1, 5))
        odd += 1
    names = [b"\xff\xfe.jpg", b"a\nb.jpg", b"..jpg"[1:] + b"x", "e\u0301.jpg".encode(),
             "\u00e9.jpg".encode(), b"A.jpg", b"a.jpg", b"-rf.jpg", b"n" * 250 + b".jpg",
             b"$(reboot).jpg", b"%s%n.jpg"]  # fmt: skip
    counted = [name for name in names if not name.startswith(b".")]
    for number, name in enumerate(names):
        with open(drop + b"/" + name, "wb") as file:  # noqa: PTH123 - names that are no UTF-8
            file.write(film_bytes(f"n={number}"))
    until(lambda: len(dashboard.of("result")) >= len(counted), 40)
    until(lambda: len(dashboard.of("reject")) >= odd, 40)
    assert {r.reason for r in dashboard.of("reject")} == {"not_a_regular_file"}
    assert len(dashboard.of("result")) == len(counted)
    assert it.audit()["findings"] == []
    figures |= {"refused": odd, "scored": len(counted)}
    dashboard.close()


@pytest.mark.usefixtures("engines")
def test_mutated_films_never_end_the_daemon(broker, make_appliance, scale, figures):
    """T14: films mutated at random: deaths of the daemon 0."""
    dice = random.Random(5)
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory=REAL, extra="threads = 1\n").start()
    seeds = [data for name, data in hostile().items() if name.rpartition(".")[2] != "txt" and data]
    count = scale(10, 300)
    for number in range(count):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 40)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        it.put(f"{number}.img", bytes(data) + b"%d" % number)
    until(lambda: len(it.states()) == count and "claimed" not in it.states().values(),
          60 + 3 * count)  # fmt: skip
    assert it.process.poll() is None
    figures |= {"films": count, "ends of the worker": it.log().count("worker e")}
    assert it.audit()["findings"] == []
    dashboard.close()


def test_slow_writers_are_never_read_early(broker, make_appliance, figures):
    """T16, T18: slow, pausing, preallocated, in place, renamed: never read before complete."""
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port).start()
    whole = film_bytes("n=0", padding=4000)
    code = """if True:
        import os, sys, time
        path, how, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
        data = sys.stdin.buffer.read()
        name = path + ".part" if how == "rename" else path
        with open(name, "r+b" if how == "place" else "wb") as file:
            if how == "prealloc":
                os.posix_fallocate(file.fileno(), 0, len(data))
            for start in range(0, len(data), 1000):
                file.write(data[start:start + 1000]); file.flush(); time.sleep(pause)
        if how == "rename":
            os.rename(name, path)
        if how == "touch":
            os.utime(path)
    """
    ways = {"slow": 0.5, "paused": 1.7, "prealloc": 0.5, "place": 0.5, "rename": 0.3, "touch": 0.3}
    (it.drop / "place.jpg").write_bytes(film_bytes("n=old", padding=4000))
    dashboard.wait("result", 1)
    writers = []
    for number, (how, pause_s) in enumerate(ways.items()):
        data = whole.replace(b"n=0", b"n=%d" % number)
        process = subprocess.Popen(
            [sys.executable, "-c", code, it.drop / f"{how}.jpg", how, str(pause_s)],
            stdin=subprocess.PIPE,
        )
        process.stdin.write(data)
        process.stdin.close()
        writers.append(process)
    # The scanner goes on while we are away: the start obeys the same rule.
    time.sleep(1)
    it.kill()
    time.sleep(0.5)
    it.start()
    for process in writers:
        assert process.wait(30) == 0
    ended_unix_s = time.time()
    dashboard.wait("result", 1 + len(ways), 30)
    time.sleep(1)
    assert dashboard.of("reject") == []
    assert len(dashboard.of("result")) == 1 + len(ways)
    last = max(r.ledger.picked_up for r in dashboard.of("result"))
    figures |= {"ways": len(ways), "read early": 0, "last after s": round(last - ended_unix_s, 2)}
    assert it.audit()["findings"] == []
    dashboard.close()


def test_doubles(broker, make_appliance, figures):
    """T19, T32: same bytes again, new bytes under an old name, touched, re-dated: no twice."""
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port).start()
    it.put("a.jpg", film_bytes("n=1"))
    dashboard.wait("result", 1)
    it.put("b.jpg", film_bytes("n=1"))
    (it.drop / "sub").mkdir()
    it.put("sub/a.jpg", film_bytes("n=1"))
    until(lambda: len(it.states()) == 3)
    for when in (0, time.time() + 1e8):
        os.utime(it.drop / "a.jpg", (when, when))
        time.sleep(0.5)
    (it.drop / "a.jpg").chmod(0o600)
    it.put("a.jpg", film_bytes("n=2"))
    dashboard.wait("result", 2)
    it.kill()
    it.start()
    time.sleep(2)
    assert len(dashboard.of("result")) == 2
    assert sorted(it.states().values()) == ["acked", "acked", "duplicate", "duplicate"]
    figures |= {"copies": 5, "results": 2}
    assert it.audit()["findings"] == []
    dashboard.close()


@pytest.mark.usefixtures("engines")
def test_no_patient_leaves_the_folder(broker, make_appliance, figures):
    """T26: marker strings of synthetic patients are found nowhere they do not belong."""
    marks = [f"CANARY{n:04d}" for n in range(10)]
    dashboard = Subscriber(broker.settings)
    it = make_appliance(broker.port, factory=REAL, extra="threads = 1\n")
    grey = smooth(600, 500).astype(np.uint16) * 16
    it.start()
    tags = {
        "PatientName": f"{marks[0]}^Anna", "PatientID": marks[1], "PatientBirthDate": "19500101",
        "StudyInstanceUID": "1.2.3.4", "AccessionNumber": marks[2],
        "StudyDescription": marks[3], "ReferringPhysicianName": marks[4],
        "BodyPartExamined": "HAND",
    }  # fmt: skip
    whole = film(grey, bits=12, **tags)
    it.put(f"{marks[5]}-LH.dcm", whole)
    it.put(f"{marks[6]}-LH.dcm", whole[:-500])
    it.put(f"{marks[7]}.jpg", b"no film " + marks[8].encode())
    (it.drop / f"{marks[9]}.png").symlink_to("/dev/zero")
    (it.drop / marks[9]).mkdir()
    it.put(f"{marks[9]}/film.jpg", jpeg(smooth(300, 200)))
    dashboard.wait("reject", 5, 60)
    it.kill()
    it.start()
    it.order("audit")
    assert it.terminate() == 0
    came_out = [m.topic.encode() + b" " + m.payload for m in dashboard.messages]
    came_out += [it.log_path.read_bytes()]
    came_out += [os.fsencode(path) for path in it.state.rglob("*")]
    came_out += [path.read_bytes() for path in it.state.glob("pictures/*")]
    found = [m for m in marks if any(m.encode() in data for data in came_out)]
    figures |= {"markers": len(marks), "found outside": len(found), "looked through": len(came_out)}
    assert found == []
    # Where they belong: our own copies, and the journal, which only this user may read.
    assert any(marks[0].encode() in p.read_bytes() for p in it.state.glob("quarantine/*"))
    assert (it.state / "device.key").stat().st_mode & 0o077 == 0
    assert it.state.stat().st_mode & 0o007 == 0
    dashboard.close()


def test_a_listing_never_leaves_the_folder(tmp_path):
    """T31: our own folders inside the watched one, and loops of links, are not walked."""
    drop = tmp_path / "drop"
    (drop / "own" / "deep").mkdir(parents=True)
    (drop / "own" / "deep" / "x.jpg").touch()
    (drop / "loop").symlink_to(drop)
    (drop / "a.jpg").touch()
    folder = Folder(drop, IGNORED, (drop / "own",))
    assert sorted(e.path.rpartition(b"/")[2] for e in folder.entries()) == [b"a.jpg", b"loop"]
