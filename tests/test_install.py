"""The install page, followed line by line on a machine on which nothing of ours is installed.

The short form takes the place of a Debian machine by this one's own programs and the packages of
the tests; the full form (``make test-install``) installs Debian 12 and everything else for real.
Neither has systemd at work: ``tests/stubs/systemctl.py`` starts the units.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from certificates import certificate
from clean_root import CLONE, OFFLINE, ROOT, CleanRoot, Done, NoCleanRootError

from edge.system.device_key import NAME
from edge.system.paths import built_engines, data_root

PAGE = ROOT / "systemd" / "README.md"
README = ROOT / "README.md"
FILMS = "/tmp/films"  # noqa: S108 - as the page has it
TABLE = ROOT / "benchmarks" / "results" / "install.md"
DEBIAN = "bookworm"
# A careful administrator's: what the page installs must be readable by the service all the same.
UMASK = "umask 027\n"


def sections(page):
    """Headings of a page with their blocks of code as (language, text)."""
    found = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    return {
        text.split("\n", 1)[0]: re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for text in found
    }


def shell(page, heading):
    """The shell blocks under a heading."""
    return [text for language, text in sections(page)[heading] if language == "sh"]


class Follower:
    """Runs the page's blocks, each in a shell of its own, and times them."""

    def __init__(self, root, environment=None):
        self.root = root
        self.times = []
        self._environment = environment or {}

    def follow(self, script, what):
        """Run a block as written; what it leaves in the background goes on."""
        before_s = time.monotonic()
        done = self.root.run(
            f"{UMASK}{script}\necho $! >/run/background", folder=CLONE,
            environment=self._environment, timeout_s=1800,
        )  # fmt: skip
        assert done.status == 0, f"{what}:\n{done.output}"
        self.times.append((what, time.monotonic() - before_s))
        return done

    def end_background(self):
        """End what the last block left running, as a user would with Ctrl-C."""
        self.root.run("kill $(cat /run/background)")

    def drop_film(self, name):
        """A new film in the drop folder: a copy under a name of its own with a byte behind it."""
        self.root.run(
            f"cp /tmp/films/P0001-RH.jpg /tmp/{name} && printf '\\0' >>/tmp/{name}\n"
            f"cp /tmp/{name} /srv/sharpedge/drop/"
        )


def received(done: Done, kind):
    """What ``sharpedge listen`` has printed of one kind."""
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["topic"].split("/")[-1] == kind]


def wait_for(check, what, timeout_s=90):
    end_s = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < end_s, what() if callable(what) else what
        time.sleep(0.05)
    return found


def write_broker_section(root):
    """Let the next edit of the settings write the page's section on the broker."""
    (wanted,) = [text for language, text in sections(PAGE)[TLS] if language == "toml"]
    shipped = (ROOT / "systemd" / "sharpedge.toml").read_text()
    head, rest = shipped.split("[broker]\n")
    edits = root.outside("/run/edits")
    edits.mkdir()
    _, others = rest.split("\n[delivery]\n")
    (edits / "sharpedge.toml").write_text(f"{head}{wanted}\n[delivery]\n{others}")


def make_certificates(folder, root):
    ca = certificate(folder, "ca", days=2)
    for name in ("broker", "box1", "dashboard-1"):
        certificate(folder, name, days=2, ca=ca)
    for path in (*folder.glob("*.pem"), *folder.glob("*.key")):
        shutil.copy(path, root.outside(CLONE))


INSTALL = "Install"
TLS = "A broker that dashboards reach"
OPERATE = "Films that wait for a person"


def follow_page(it, folder, *, export=lambda line: line):
    """Follow the whole page; every block must end without an error and do what it promises."""
    install, attempt = shell(PAGE, INSTALL)
    line = next(line for line in install.splitlines() if line.endswith("sharpedge export"))
    done = it.follow(install.replace(line, export(line)), "install")
    assert 'waiting for films"' in done.output
    unit = (ROOT / "systemd" / "sharpedge.service").read_text()
    for page in re.findall(r"^Documentation=file:(.*)", unit, re.MULTILINE):
        assert it.root.outside(page).is_file()

    listening = it.follow(attempt, "a film, without certificates")
    (result,) = wait_for(lambda: received(listening, "result"), lambda: listening.output)
    assert (result["status"], result["limb"], result["laterality"]) == ("scored", "hand", "L")
    it.end_background()

    # A technician without root and without a configuration.
    anna = "useradd --groups sharpedge-operator anna && runuser -u anna -- sharpedge"
    asked = it.root.run(f"{anna} status")
    assert asked.status == 0, asked.output
    assert "P0001-LH.jpg" in asked.output
    assert it.root.run("runuser -u nobody -- sharpedge held").status == 1

    make_certificates(folder, it.root)
    write_broker_section(it.root)
    broker, dashboard = shell(PAGE, TLS)
    it.follow(broker, "broker with certificates")
    listening = it.follow(dashboard, "dashboard with a certificate")
    wait_for(lambda: received(listening, "state"), lambda: listening.output)
    it.drop_film("P0002-RH.jpg")
    results = wait_for(lambda: received(listening, "result"), lambda: listening.output)
    assert results[-1]["laterality"] == "R"

    (audit,) = shell(PAGE, OPERATE)
    wait_for(lambda: it.root.run(audit).status == 0, lambda: it.root.run(audit).output, 30)
    it.follow(audit, "audit")
    it.end_background()


def test_every_command_of_the_install_page_works_on_a_fresh_machine(clean_root, tmp_path):
    key = data_root() / NAME
    built = built_engines()
    engines = [*built.glob("hand-*")]
    if not engines or not key.is_file():
        pytest.skip(f"no engines in {built} (run: sharpedge export)")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    try:
        clean_root.remove_ours()
        clean_root.add_clone(leave_out=("tests/", "engines/foot", "engines/weights/foot"))
        clean_root.add_stubs("systemctl.py", "editor", "apt-get")
        clean_root.use_own_python()
    except NoCleanRootError as error:
        pytest.skip(f"no clean root: {error}")
    # As below root's home: the service's user cannot enter the clone.
    clean_root.outside(CLONE).chmod(0o700)
    if clean_root.run("dpkg-query -W mosquitto systemd").status:
        pytest.skip("the Debian packages mosquitto and systemd are not installed")
    seed = clean_root.outside("/run/seed")
    seed.mkdir()
    for path in (key, *engines):
        shutil.copy(path, seed)
    # One engine is exported as the page says; the others, of the same weights, are at hand.
    hasten = (
        "install -d -o sharpedge -g sharpedge /var/lib/sharpedge/engines/built\n"
        f"install -o sharpedge -m 600 /run/seed/{key.name} /var/lib/sharpedge/\n"
        "install -o sharpedge -m 644 /run/seed/hand-* /var/lib/sharpedge/engines/built/\n"
        "chown -R sharpedge: /var/lib/sharpedge\n"
    )
    follow_page(
        Follower(clean_root, OFFLINE),
        tmp_path,
        export=lambda line: f"{hasten}(cd / && {line} hand-mask)",
    )


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """A fresh Debian 12 with the network of this machine; its package index is Debian's own."""
    if os.environ.pop("SHARPEDGE_INSTALL", "") != "full":
        pytest.skip("the full form: make test-install")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed (Debian package debootstrap)")
    folder = tmp_path_factory.mktemp("debian")
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates,systemd,git,make",
         DEBIAN, str(folder / "lower")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"debootstrap fails here: {made.stdout[-300:]}")
    try:
        root = CleanRoot(folder, lower=folder / "lower", network=True)
    except NoCleanRootError as error:
        pytest.skip(f"no clean root: {error}")
    root.remove_ours()
    root.add_clone()
    # As below root's home: the service's user cannot enter the clone.
    root.outside(CLONE).chmod(0o700)
    root.add_stubs("systemctl.py", "editor", "apt-get")
    # As in an image of a container: the packages' own starts of services are left to us.
    policy = root.outside("/usr/sbin/policy-rc.d")
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # The certificates too: a network may have an authority of its own.
    for name in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).is_file():
            shutil.copy(name, root.outside(name))
    yield root
    root.close()
    shutil.rmtree(folder / "lower", ignore_errors=True)


# The first words of each line of the README's block "Use": what stands for its placeholders, and
# the exit statuses that it promises. None: takes minutes, or never ends; it is parsed by another
# test.
USES = {
    ". .venv/bin/activate": ({}, {0}),
    "sharpedge export": ({}, {0}),
    "sharpedge build": None,
    "sharpedge tune": None,
    "sharpedge engines": ({}, {0}),
    "sharpedge score FILM": ({"FILM...": f"{FILMS}/P0001-LH.jpg", "DIR": "scored"}, {0}),
    "sharpedge score --json": ({"DIR": FILMS}, {0}),
    "sharpedge score --csv": ({"FILM...": f"{FILMS}/P0001-LH.jpg", "FILE": "grades.csv"}, {0}),
    "sharpedge score --dicom": None,
    "sharpedge archive": None,
    "sharpedge whois": None,
    "sharpedge pacs": None,
    "sharpedge dashboard": None,
    "sharpedge init": ({}, {0}),
    "sharpedge doctor": ({}, {0, 1, 3}),
    "sharpedge run": None,
    "sharpedge receive": None,
    "sharpedge listen": None,
    "sharpedge phantom --patients": ({"DIR": "simulated"}, {0}),
    "sharpedge phantom --check": None,
    "sharpedge demo": None,
    "sharpedge evaluate": ({"DIR": FILMS}, {0}),
    "sharpedge bench": None,
    "sharpedge status": ({}, {0}),
    "sharpedge held": ({}, {0}),
    "sharpedge page": None,
    "sharpedge release": ({"FILM": "/srv/sharpedge/drop/film.jpg"}, {0}),
    "sharpedge audit": ({}, {0, 3}),
    "sharpedge results": ({"DAY": "2026-01-01", "FILE": "results.csv"}, {0}),
    # The pseudonym of a patient is this machine's own.
    "sharpedge history": None,
    "sharpedge backup": ({}, {0}),
    "sharpedge support-bundle": ({}, {0}),
    "sharpedge drift": ({}, {0, 1}),
    "sharpedge train": None,
}


def follow_readme(it):
    """``make demo`` in the clone, then every line of the block "Use" that takes seconds."""
    it.root.run("cp /tmp/films/P0001-LH.jpg /tmp/film.jpg; printf '\\0' >>/tmp/film.jpg")
    it.root.run("cp /tmp/film.jpg /srv/sharpedge/drop/")
    it.follow("make demo", "`make demo`")
    (block,) = shell(README, "Use")
    for line in block.splitlines():
        command = line.split("#")[0].strip()
        (use,) = [use for start, use in USES.items() if command.startswith(start)]
        if use is None:
            continue
        places, statuses = use
        for placeholder, value in places.items():
            command = command.replace(placeholder, value)
        done = it.root.run(
            f". .venv/bin/activate\n{command}",
            folder=CLONE,
            environment={"SHARPEDGE_CONFIG": "/etc/sharpedge/sharpedge.toml"},
        )
        assert done.status in statuses, f"{command}:\n{done.output}"
        assert "Traceback" not in done.output


def test_every_line_of_the_readme_is_known_to_the_full_form():
    (block,) = shell(README, "Use")
    for line in block.splitlines():
        assert sum(line.startswith(start) for start in USES) == 1, line


@pytest.mark.install
def test_the_install_page_works_on_debian_with_everything_installed_for_real(debian, tmp_path):
    own = {k: v for k, v in os.environ.items() if k in {"PIP_CERT", "PIP_INDEX_URL", "HTTPS_PROXY"}}
    it = Follower(debian, own)
    follow_page(it, tmp_path)
    follow_readme(it)
    packages = "dpkg-query -W -f '${Package} ${Version}\\n' mosquitto systemd python3"
    versions = debian.run(packages).output.split("\n")
    size = debian.run("du -sm /opt/sharpedge /var/lib/sharpedge").output.split("\n")
    rows = [f"| {what} | {seconds:.0f} s |" for what, seconds in it.times]
    sizes = [f"| {row.split()[1]} | {row.split()[0]} MiB |" for row in size if row]
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    TABLE.write_text(
        "# The install page on a fresh Debian 12\n\n"
        "Research use only, not a medical device. Written by `make test-install`: every command\n"
        "of `systemd/README.md`, then `make demo` and those of the README's that take seconds.\n"
        "Packages and wheels are downloaded; `systemctl` and `editor` are replaced.\n\n"
        f"{day}; {', '.join(filter(None, versions))}; two films scored and delivered;\n"
        f"{os.cpu_count()} cores at a load average of {os.getloadavg()[1]:.0f}.\n\n"
        "| step, folder | time, size |\n| --- | --- |\n" + "\n".join([*rows, *sizes]) + "\n"
    )
