"""The Debian package in bare roots without a network: the commands of ``docs/install.md``.

systemd is not at work: ``tests/stubs/systemctl.py`` starts the units for the page and, where the
folder ``/run/systemd/system`` says so, for the package's own scripts.
"""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timezone

import pytest
from clean_root import ROOT
from debian_root import RELEASES, USUAL, bare_root, later_version, mebibytes, package_of, put
from package_box import PAGE, Box
from test_install import received, shell, wait_for

TABLE = ROOT / "benchmarks" / "results" / "package.md"
pytestmark = pytest.mark.package


@pytest.fixture(params=RELEASES)
def release(request):
    return request.param


@pytest.fixture
def package(release):
    return package_of(release)


@pytest.fixture
def box(release, package, tmp_path):
    root = bare_root(tmp_path, release, USUAL)
    try:
        put(root, package)
        yield Box(root, systemd=True)
    finally:
        root.close()


def first_film(box):
    """Follow the page to the first scored film; its result."""
    listening = box.follow("Debian package", 2)
    before_s = time.monotonic()
    results = wait_for(lambda: received(listening, "result"), lambda: listening.output)
    box.times.append(("from the film to its result", time.monotonic() - before_s))
    box.end_background()
    return results[-1]


STATE = "/var/lib/sharpedge"
OURS = (
    "/opt/sharpedge",
    "/usr/bin/sharpedge",
    "/usr/lib/sysusers.d/sharpedge.conf",
    "/usr/lib/tmpfiles.d/sharpedge.conf",
)
ENABLED = "/etc/systemd/system/multi-user.target.wants/sharpedge.service"


def test_the_page_from_the_package_to_a_scored_film_and_to_its_removal(box, release, package):
    done = box.follow("Debian package", 0)
    assert 'waiting for films"' in done.output
    rights = box.do("stat -c '%a %U %G %n' /srv/sharpedge/drop /var/lib/sharpedge/device.key")
    assert rights.output.splitlines()[:2] == [
        "2775 sharpedge sharpedge /srv/sharpedge/drop",
        "600 sharpedge sharpedge /var/lib/sharpedge/device.key",
    ]
    assert box.do("getent group sharpedge-operator").output
    assert box.exists(ENABLED)
    box.follow("Debian package", 1)
    result = first_film(box)
    assert (result["status"], result["limb"], result["laterality"]) == ("scored", "hand", "L")
    assert result["n_scored"] == 10
    sizes = box.do(f"du -sm /opt/sharpedge {STATE}").output.split()

    box.follow("Remove", 0)
    assert not box.exists(*OURS, "/run/systemctl/sharpedge.pid")
    kept = (f"{STATE}/journal.sqlite", f"{STATE}/device.key", "/etc/sharpedge/sharpedge.toml")
    assert box.exists(*kept) == [*kept]
    key = box.root.outside(kept[1]).read_bytes()
    box.follow("Debian package", 0)
    assert box.root.outside(kept[1]).read_bytes() == key
    box.do("runuser -u sharpedge -- sharpedge audit --config /etc/sharpedge/sharpedge.toml")

    box.follow("Remove", 1)
    assert not box.exists(*OURS, STATE, "/etc/sharpedge", ENABLED)
    assert box.exists("/srv/sharpedge/drop/P0001-LH.jpg")
    write_table(release, package, box, sizes)


def test_the_page_s_lines_on_tune_leave_a_choice_that_the_service_starts_with(box):
    box.follow("Debian package", 0)
    box.follow("Debian package", 3)
    assert box.exists(f"{STATE}/engines/built/tuned.json")
    wait_for(
        lambda: 'waiting for films"' in box.do("systemctl status sharpedge").output, "not ready"
    )


def test_without_systemd_the_package_installs_and_its_unit_starts_by_hand(
    release, package, tmp_path
):
    root = bare_root(tmp_path, release, USUAL)
    box = Box(root, systemd=False)
    put(root, package)
    done = box.do("apt-get install ./sharpedge_*.deb")
    assert "rror" not in done.output
    assert box.exists(ENABLED)
    box.replace_systemctl()
    box.do("systemctl start mosquitto; systemctl start sharpedge")
    wait_for(
        lambda: 'waiting for films"' in box.do("systemctl status sharpedge").output, "not ready"
    )
    box.do("systemctl stop sharpedge; apt-get purge sharpedge")
    assert not box.exists(*OURS, STATE)
    root.close()


UNDELIVERED = """python3 - <<'END'
import json, sqlite3
db = sqlite3.connect("file:/var/lib/sharpedge/journal.sqlite?mode=ro", uri=True)
rows = db.execute("SELECT id FROM outbox WHERE kind = 'result' AND state IN ('queued', 'waiting')")
print(json.dumps([id for id, in rows]))
END
"""


def outbox(box):
    """Ids of the results in the outbox that nobody has answered."""
    return set(json.loads(box.do(UNDELIVERED).output))


@pytest.mark.parametrize("way", ["Upgrade", "Downgrade"])
def test_a_full_outbox_outlives_another_version(box, package, tmp_path, way):
    later = later_version(package, "99.0", tmp_path)
    first, second = (package, later) if way == "Upgrade" else (later, package)
    box.do("rm sharpedge_*.deb")
    put(box.root, first)
    box.follow("Debian package", 0)
    box.do("systemctl stop mosquitto")
    box.do("sharpedge phantom --patients 2 --out films; cp films/*.jpg /srv/sharpedge/drop/")
    wait_for(lambda: len(outbox(box)) == 8, lambda: str(outbox(box)), 180)
    before = outbox(box)

    box.do("rm sharpedge_*.deb")
    put(box.root, second)
    box.follow(way)
    assert "waiting" in box.do("systemctl status sharpedge").output
    version = re.search(r"_(.*)~", second.name)[1]
    assert box.do("sharpedge --version").output.split()[1].startswith(version)
    assert outbox(box) == before
    assert box.exists(f"{STATE}/before-upgrade")
    box.do("systemctl start mosquitto")
    listening = box.do("sharpedge listen --receipt try &")
    wait_for(
        lambda: {one["id"] for one in received(listening, "result")} >= before,
        lambda: listening.output,
    )
    wait_for(lambda: not outbox(box), "the outbox is not empty", 60)


def write_table(release, package, box, sizes):
    """Keep the figures of a release; the other release's stay."""
    rows = {
        line.split("|")[1].strip(): line
        for line in (TABLE.read_text().splitlines() if TABLE.is_file() else [])
        if line.startswith("| deb1")
    }
    times = dict(box.times)
    to_film = [times[f"Debian package {n}"] for n in (1, 2, 3)]
    to_film.append(times["from the film to its result"])
    commands = sum(
        len([line for line in shell(PAGE, "Debian package")[n].splitlines() if line.strip()])
        for n in (0, 1, 2)
    )
    name = RELEASES[release]
    cells = [
        name, datetime.now(timezone.utc).strftime("%Y-%m-%d"), f"{mebibytes(package):.0f}",
        sizes[0], sizes[2], f"{to_film[0]:.0f}", str(commands), f"{sum(to_film):.0f}",
    ]  # fmt: skip
    rows[name] = f"| {' | '.join(cells)} |"
    TABLE.write_text(
        "# The Debian package in bare roots\n\n"
        "Research use only, not a medical device. Written by `make package-test`: the commands of\n"
        "`docs/install.md` in roots of Debian without a network, with systemd, Python and\n"
        "Mosquitto from Debian; `systemctl` and `editor` are replaced. Two cores.\n\n"
        "| release | day | package, MiB | /opt/sharpedge, MiB | state, MiB | install, s "
        "| commands to the first result | seconds to the first result |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(rows[key] for key in sorted(rows))
        + "\n"
    )
