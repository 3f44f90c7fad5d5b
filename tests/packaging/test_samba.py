"""The scanner's share: Debian's Samba with the shipped settings, ``smbclient``, the real intake."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from appliance import until
from clean_root import OFFLINE, ROOT, NoCleanRootError
from package_box import PAGE
from test_install import shell

from edge.errors import FilmError, Reason
from edge.imaging.decode import decode_film
from edge.intake.intake import Intake
from edge.intake.settings import IGNORED
from edge.intake.settle import Patience
from edge.intake.watch import Folder, WatchMode

SHARE = "//127.0.0.1/drop"
HEADING = "A share for the scanner"
DROP = "/srv/sharpedge/drop"


def film(seed):
    """A JPEG of about 2 MiB, so that it needs many writes."""
    grey = np.random.default_rng(seed).integers(0, 255, (1500, 1500), np.uint8)
    return cv2.imencode(".jpg", grey)[1].tobytes()


class Scanner:
    """What a scanner does, by ``smbclient`` in the root."""

    def __init__(self, root):
        self.root = root

    def client(self, commands, user="scanner%secret", options=""):
        """Run commands of smbclient; the script's end and output."""
        return self.root.run(f"smbclient {options} {SHARE} -U '{user}' -c '{commands}'")

    def put(self, name, data):
        """Store a file as a scanner with one call does."""
        self.root.outside("/root/film").write_bytes(data)
        done = self.client(f"put /root/film {name}")
        assert done.status == 0, done.output

    @contextlib.contextmanager
    def slowly(self, name):
        """Give a function that sends bytes of a file that is being put; the end closes it."""
        command = [
            "nsenter", f"--target={self.root.path.parent.name}", "--mount", "--net", "--root",
            "smbclient", SHARE, "-U", "scanner%secret", "-c", f"put - {name}",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def send(data):
            process.stdin.write(data)
            process.stdin.flush()

        try:
            yield send, process
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait(20)


@pytest.fixture
def scanner(clean_root):
    """A box with the share that the install page sets up, and a scanner that may use it."""
    for tool in ("smbd", "smbclient", "smbpasswd"):
        if shutil.which(tool, path="/usr/bin:/usr/sbin") is None:
            pytest.skip(f"{tool} is not installed (Debian packages samba, smbclient)")
    try:
        clean_root.remove_ours()
        clean_root.use_own_python()
    except NoCleanRootError as error:
        pytest.skip(f"no clean root: {error}")
    clean_root.add_stubs("systemctl.py", "apt-get")
    # What the package and a boot make, and somebody who answers when asked for a password.
    shipped = clean_root.outside("/opt/sharpedge/share/sharpedge/samba")
    shipped.mkdir(parents=True)
    text = (ROOT / "packaging" / "samba" / "smb.conf").read_text()
    # smbclient waits until it has a whole write together: small ones make a put that is slow.
    (shipped / "smb.conf").write_text(f"{text}\n[global]\nsmb2 max write = 65536\n")
    answer = clean_root.outside("/usr/local/sbin/smbpasswd")
    answer.write_text("#!/bin/sh\nprintf 'secret\\nsecret\\n' | /usr/bin/smbpasswd -s \"$@\"\n")
    answer.chmod(0o755)
    for name in ("sysusers", "tmpfiles"):
        shutil.copy(ROOT / "systemd" / f"sharpedge.{name}.conf", clean_root.outside("/root"))
    done = clean_root.run(
        "! id scanner 2>/dev/null || userdel scanner\n"
        "systemd-sysusers /root/sharpedge.sysusers.conf\n"
        "systemd-tmpfiles --create /root/sharpedge.tmpfiles.conf\nmkdir -p /run/samba\n"
        f"{shell(PAGE, HEADING)[0]}",
        environment=OFFLINE,
    )
    assert done.status == 0, done.output
    return Scanner(clean_root)


@pytest.fixture
def taken(scanner):
    """Films that the intake has taken from the drop folder, as they come."""
    films = []
    patience = Patience(closed_s=0.3, incomplete_s=1.5, unwatched_s=0.6, abandoned_s=60.0)
    it = Intake(
        Folder(Path(scanner.root.outside(DROP)), IGNORED, ()),
        WatchMode.NATIVE,
        patience=patience, rescan_s=1.0, limit_bytes=1 << 26, recall=lambda _: None, last=(),
        wake=lambda: None,
    )  # fmt: skip
    done = threading.Event()

    def gather():
        while not done.is_set():
            found = it.fetch()
            if found is None:
                time.sleep(0.01)
            else:
                films.append(found)

    it.start()
    until(lambda: it.following)
    gatherer = threading.Thread(target=gather)
    gatherer.start()
    yield films
    done.set()
    gatherer.join()
    it.stop()
    until(lambda: not it.is_alive())


def test_a_film_that_is_put_is_taken_whole_and_the_service_may_read_it(scanner, taken):
    data = film(1)
    scanner.put("a.jpg", data)
    until(lambda: taken)
    assert [(one.data, one.refusal) for one in taken] == [(data, None)]
    read = scanner.root.run(f"runuser -u sharpedge -- cat {DROP}/scanner/a.jpg | wc -c")
    assert int(read.output) == len(data)


def test_a_slow_put_is_not_taken_before_its_end(scanner, taken):
    data = film(2)
    path = scanner.root.outside(f"{DROP}/scanner/slow.jpg")
    with scanner.slowly("slow.jpg") as (send, _):
        send(data[: len(data) // 2])
        until(lambda: path.exists() and path.stat().st_size > 0)
        time.sleep(1.5)
        assert not taken
        send(data[len(data) // 2 :])
    until(lambda: taken)
    assert [(one.data, one.refusal) for one in taken] == [(data, None)]


def test_an_aborted_put_is_reported_as_incomplete_and_the_next_one_is_taken(scanner, taken):
    data = film(3)
    path = scanner.root.outside(f"{DROP}/scanner/cut.jpg")
    with scanner.slowly("cut.jpg") as (send, process):
        send(data[: len(data) // 2])
        until(lambda: path.exists() and path.stat().st_size > 0)
        process.kill()
    until(lambda: taken)
    # Handed over after its patience: the worker rejects it, so that it does not disappear.
    with pytest.raises(FilmError) as rejected:
        decode_film(taken[0].data, "cut.jpg", 80.0)
    assert rejected.value.reason is Reason.TRUNCATED
    scanner.put("again.jpg", data)
    until(lambda: len(taken) == 2)
    assert (taken[1].data, taken[1].refusal) == (data, None)


def test_a_rename_after_the_put_makes_the_film_visible_at_once_and_whole(scanner, taken):
    data = film(4)
    scanner.put("film.jpg.part", data)
    time.sleep(1.5)
    assert not taken
    assert scanner.client("rename film.jpg.part film.jpg").status == 0
    until(lambda: taken)
    assert [(one.data, one.refusal) for one in taken] == [(data, None)]


def test_the_scanner_can_neither_list_nor_read_and_nobody_else_gets_in(scanner):
    scanner.put("a.jpg", b"a film of somebody")
    for commands in ("ls", "get a.jpg /root/copy", "put /root/film a.jpg"):
        assert "NT_STATUS_ACCESS_DENIED" in scanner.client(commands).output, commands
    assert not scanner.root.outside("/root/copy").exists()
    assert scanner.root.outside(f"{DROP}/scanner/a.jpg").read_bytes() == b"a film of somebody"
    assert "NT_STATUS_ACCESS_DENIED" in scanner.client("ls", user="%").output
    assert "NT_STATUS_LOGON_FAILURE" in scanner.client("ls", user="scanner%wrong").output
    assert "NT_STATUS_LOGON_FAILURE" in scanner.client("ls", user="sharpedge%secret").output
    assert scanner.client("ls", options="--max-protocol=SMB2_10").output.count("NOT_SUPPORTED")
    shares = scanner.root.run("smbclient -L //127.0.0.1 -U 'scanner%secret' || true").output
    assert "drop" not in shares


def test_a_share_that_is_mounted_on_the_box_gives_whole_films(scanner):
    """The other way round: the films lie on a server, and the box mounts them."""
    known = Path("/proc/filesystems").read_text().split()
    if "cifs" not in known or shutil.which("mount.cifs") is None:
        pytest.skip("this kernel cannot mount cifs, or mount.cifs is missing (cifs-utils)")
    root = scanner.root
    done = root.run(
        "install -d -o sharpedge -g sharpedge /srv/films /mnt/films\n"
        "printf '[films]\\npath = /srv/films\\nread only = no\\n' >>/etc/samba/smb.conf\n"
        "systemctl restart smbd\n"
        "mount -t cifs //127.0.0.1/films /mnt/films -o user=scanner,password=secret,vers=3.1.1"
    )
    if done.status:
        pytest.skip(f"cifs cannot be mounted here: {done.output[-200:]}")
    films = []
    it = Intake(
        Folder(Path(root.outside("/mnt/films")), IGNORED, ()),
        WatchMode.POLL,
        patience=Patience(closed_s=0.3, incomplete_s=1.5, unwatched_s=1.0, abandoned_s=60.0),
        rescan_s=0.3, limit_bytes=1 << 26, recall=lambda _: None, last=(), wake=lambda: None,
    )  # fmt: skip
    it.start()
    data = film(5)
    with root.outside("/srv/films/a.jpg").open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(1.2)
        file.write(data[len(data) // 2 :])
    until(lambda: (found := it.fetch()) is not None and films.append(found) is None)
    it.stop()
    until(lambda: not it.is_alive())
    assert [(one.data, one.refusal) for one in films] == [(data, None)]
