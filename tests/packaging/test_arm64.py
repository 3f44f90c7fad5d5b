"""64-bit ARM: the package and one film in emulated roots of Debian; wheels for JetPack's Pythons.

No film is scored with the Pythons of JetPack 6 and 7: for those every dependency's wheel is found.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from clean_root import ROOT
from debian_root import RELEASES, bare_root, package_of, put
from package_box import Box

from edge.system.device_key import NAME
from edge.system.paths import built_engines, data_root

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = ROOT / "benchmarks" / "results" / "arm64.md"
# What JetPack 6 (Ubuntu 22.04) and JetPack 7 (Ubuntu 24.04) have, with the C library's versions.
JETPACKS = {"3.10": ("JetPack 6", 35), "3.12": ("JetPack 7", 39)}
FILMS = ("P0001-LH.jpg",)
# The emulator shows the x86 processor's, at which ONNX Runtime's wheel for ARM ends with a signal.
CPUINFO = "".join(
    f"processor\t: {number}\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 cpuid\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
    "CPU part\t: 0xd08\nCPU revision\t: 3\n\n"
    for number in range(2)
)
pytestmark = pytest.mark.arm64


def emulated():
    """Skip where the kernel does not run programs for ARM."""
    state = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    if not state.is_file() or "enabled" not in state.read_text():
        pytest.skip(
            "no emulation of aarch64 (Debian package qemu-user-static; "
            "systemctl restart systemd-binfmt)"
        )


def grades(text):
    """What each film's joints were given, of the lines of ``sharpedge score --json``."""
    return {
        (limb["file"].split("/")[-1], joint["name"]): (
            joint["erosion"], joint["narrowing"],
            joint["erosion_reason"], joint["narrowing_reason"],
        )
        for limb in map(json.loads, text.splitlines())
        for joint in limb["joints"]
    }  # fmt: skip


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Folder of simulated films, and what this machine gives their joints."""
    folder = tmp_path_factory.mktemp("films")
    program = Path(sys.executable).with_name("sharpedge")
    subprocess.run([program, "phantom", "--patients", "1", "--out", folder], check=True)
    paths = [folder / name for name in FILMS]
    done = subprocess.run(
        [program, "score", "--json", *paths], capture_output=True, text=True, check=True
    )
    return paths, grades(done.stdout)


@pytest.mark.parametrize("release", RELEASES)
def test_the_package_for_arm_gives_the_grades_of_x86(release, films, tmp_path):
    emulated()
    paths, expected = films
    package = package_of(release, "arm64")
    root = bare_root(tmp_path, release, "systemd,python3", "arm64")
    try:
        put(root, package, *paths)
        box = Box(root, systemd=False)
        assert box.do("uname -m").output.strip() == "aarch64"
        root.outside("/run/cpuinfo").write_text(CPUINFO)
        box.do("mount --bind /run/cpuinfo /proc/cpuinfo")
        bring_engines(box)
        box.do("apt-get install --no-install-recommends ./sharpedge_*.deb", "install")
        version = box.do("/opt/sharpedge/bin/python --version").output.split()[1]
        box.do("chmod 711 /root; chmod 644 *.jpg; runuser -u sharpedge -- sharpedge --version")
        scored = box.do(
            f"runuser -u sharpedge -- env SHARPEDGE_HOME=/var/lib/sharpedge "
            f"sharpedge score --json {' '.join(f'/root/{name}' for name in FILMS)}", "score",
        )  # fmt: skip
        lines = [line for line in scored.output.splitlines() if line.startswith("{")]
        found = grades("\n".join(lines))
        assert found == expected
        assert len(found) == 10
        times = dict(box.times)
        cells = [
            RELEASES[release], version, f"{times['install']:.0f}", f"{times['score']:.0f}",
            str(len(found)), "equal",
        ]  # fmt: skip
        keep("roots", f"| {' | '.join(cells)} |")
    finally:
        root.close()


def bring_engines(box):
    """Put this machine's engines and key where the package's export finds them done already.

    Emulated, one of six was done after 13 minutes.
    """
    key, built = data_root() / NAME, [*built_engines().glob("*-*")]
    if not key.is_file() or not built:
        pytest.skip(f"no engines in {built_engines()} (run: sharpedge export)")
    engines = box.root.outside("/var/lib/sharpedge/engines/built")
    engines.mkdir(parents=True)
    shutil.copy(key, engines.parents[1])
    for path in built:
        shutil.copy(path, engines)
    sysusers = box.root.outside("/run/sharpedge.conf")
    shutil.copy(ROOT / "systemd" / "sharpedge.sysusers.conf", sysusers)
    box.do("systemd-sysusers /run/sharpedge.conf; chown -R sharpedge: /var/lib/sharpedge")


def interpreter(version):
    """A Python of that version on this machine: pip evaluates markers with its own."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    known = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    found = str(known[-1]) if known else shutil.which(f"python{version}")
    if found is None:
        pytest.skip(f"no Python {version} on this machine")
    return found


@pytest.mark.parametrize("version", JETPACKS)
def test_every_dependency_has_a_wheel_for_the_python_of_a_jetpack(version, tmp_path):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    name, newest = JETPACKS[version]
    platforms = ["manylinux2014_aarch64"]
    platforms += [f"manylinux_2_{minor}_aarch64" for minor in range(17, newest + 1)]
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            interpreter(version), "-m", "pip", "install", "--dry-run", "--ignore-installed",
            "--quiet", "--report", report, "--target", tmp_path / "none",
            "--only-binary=:all:", "--python-version", version, "--implementation", "cp",
            *[word for platform in platforms for word in ("--platform", platform)],
            "--constraint", ROOT / "constraints.txt", *wanted,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "NewConnectionError" in done.stderr:
        pytest.skip("no network")
    assert done.returncode == 0, done.stderr
    files = [
        item["download_info"]["url"].split("/")[-1]
        for item in json.loads(report.read_text())["install"]
    ]
    assert len(files) > len(wanted)
    ours = [file for file in files if file.endswith("aarch64.whl")]
    assert all(file.endswith(".whl") for file in files)
    shown = ", ".join(sorted(f"{file.split('-')[0]} {file.split('-')[1]}" for file in ours))
    keep("wheels", f"| {version} | {name} | {len(files)} | {len(ours)} | {shown} |")


HEADS = {
    "roots": (
        "| root | Python | install, s | score one film, s | joints | grades against x86-64 |\n"
        "| --- | --- | --- | --- | --- | --- |"
    ),
    "wheels": (
        "| Python | of | wheels | of them for aarch64 | which |\n| --- | --- | --- | --- | --- |"
    ),
}


def keep(kind, row):
    """Write a row into the table; rows of other roots and Pythons stay."""
    text = TABLE.read_text() if TABLE.is_file() else ""
    rows = {kind: {} for kind in HEADS}
    for part, head in HEADS.items():
        first = head.split("\n")[0]
        if first in text:
            body = text.split(head)[1].split("\n\n")[0]
            rows[part] = {line.split("|")[1].strip(): line for line in body.split("\n") if line}
    rows[kind][row.split("|")[1].strip()] = row
    tables = {
        part: "\n".join([HEADS[part], *(found[key] for key in sorted(found))])
        if found
        else "Not run to its end yet."
        for part, found in rows.items()
    }
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    TABLE.write_text(
        "# 64-bit ARM\n\n"
        "Research use only, not a medical device. Written by `make arm64-test`. The roots are\n"
        "Debian's for arm64, run by qemu-user on an x86-64 machine: their times say nothing about\n"
        "an ARM machine. The engines were exported on x86-64: emulated, one of six was done after\n"
        "13 minutes (foot-detect, with the same bytes).\n\n"
        f"Last written {day}.\n\n{tables['roots']}\n\n"
        "For the Pythons of JetPack every dependency resolves to a wheel. **No film was scored\n"
        f"with them.**\n\n{tables['wheels']}\n"
    )


def test_a_row_replaces_its_own_and_leaves_the_others(tmp_path, monkeypatch):
    table = tmp_path / "table.md"
    monkeypatch.setattr(sys.modules[__name__], "TABLE", table)
    for kind, row in (
        ("roots", "| deb13 | 1 |"), ("wheels", "| 3.10 | a |"), ("roots", "| deb12 | 2 |"),
        ("roots", "| deb13 | 3 |"),
    ):  # fmt: skip
        keep(kind, row)
    rows = re.findall(r"^\| (deb.*|3\..*) \|$", table.read_text(), re.MULTILINE)
    assert rows == ["deb12 | 2", "deb13 | 3", "3.10 | a"]
