"""What the Debian package is made of, without building it: control, scripts, folders, units."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from clean_root import ROOT
from test_install import sections

DEBIAN = ROOT / "packaging" / "debian"
SYSTEMD = ROOT / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
SCRIPTS = [
    *sorted(DEBIAN.glob("sharpedge.p*")),
    *sorted((ROOT / "packaging").glob("b*-*")),
    ROOT / "packaging" / "bundle" / "install.sh",
    ROOT / "packaging" / "container-start",
]


def called(program, *words):
    """Standard output and error of a program that must end well; skips where it is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def fields(paragraph):
    """Fields of a paragraph of a control file."""
    joined = re.sub(r"\n[ \t]+", " ", paragraph)
    return dict(re.findall(r"^([A-Za-z-]+): *(.*)$", joined, re.MULTILINE))


def test_the_control_file_says_what_it_is_and_what_the_units_need():
    source, package = map(fields, (DEBIAN / "control").read_text().split("\n\n"))
    assert source["Source"] == package["Package"] == "sharpedge"
    assert "debhelper-compat (= 13)" in source["Build-Depends"]
    assert package["Architecture"] == "any"
    for needed in ("${python:Depends}", "systemd-standalone-sysusers", "libstdc++6"):
        assert needed in package["Depends"]
    assert "mosquitto" in package["Recommends"]
    assert package["Description"].endswith("Research use only, not a medical device.")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_for_a_plain_shell(script):
    assert script.read_text().startswith("#!/bin/sh\n")
    called("dash", "-n", str(script))
    if shutil.which("shellcheck"):
        called("shellcheck", "--shell=dash", "--severity=warning", str(script))


@pytest.mark.parametrize("name", ["preinst", "postinst", "postrm"])
def test_a_maintainer_script_has_debhelper_s_lines_and_stops_at_a_failure(name):
    text = (DEBIAN / f"sharpedge.{name}").read_text()
    assert text.count("\n#DEBHELPER#\n") == 1
    assert "\nset -e\n" in text


@pytest.fixture
def root(tmp_path):
    """A root with the shipped users and folders, made by systemd's own programs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for folder in ("etc", "srv", "var/lib", "run"):
        (tmp_path / folder).mkdir(parents=True)
    called("systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "sharpedge.sysusers.conf"))
    text = called(
        "systemd-tmpfiles",
        f"--root={tmp_path}",
        "--create",
        str(SYSTEMD / "sharpedge.tmpfiles.conf"),
    )
    assert not text
    return tmp_path


def names(root, file):
    return {
        line.split(":")[0]: line.split(":") for line in (root / "etc" / file).read_text().split()
    }


def test_user_groups_and_folders_are_made(root):
    groups, users = names(root, "group"), names(root, "passwd")
    assert {"sharpedge", "sharpedge-operator"} <= set(groups)
    uid = int(users["sharpedge"][2])
    drop, state = (root / "srv/sharpedge/drop").stat(), (root / "var/lib/sharpedge").stat()
    assert (drop.st_uid, drop.st_gid, drop.st_mode & 0o7777) == (
        uid,
        int(groups["sharpedge"][2]),
        0o2775,
    )
    assert (state.st_uid, state.st_mode & 0o7777) == (uid, 0o750)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_the_package_installs_as_a_user_that_it_makes(unit):
    text = unit.read_text()
    (start,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert start == "/opt/sharpedge/bin/sharpedge"
    made = re.findall(
        r"^[ug] (\S+)", (SYSTEMD / "sharpedge.sysusers.conf").read_text(), re.MULTILINE
    )
    for key in ("User", "Group", "SupplementaryGroups"):
        for named in re.findall(rf"^{key}=(.*)", text, re.MULTILINE):
            assert set(named.split()) <= set(made)


def test_every_unit_of_the_folder_comes_along_and_only_the_daemon_is_enabled():
    rules = (DEBIAN / "rules").read_text()
    assert "$(wildcard systemd/*.service)" in rules
    assert "dh_installsystemd --name=sharpedge --no-restart-after-upgrade" in rules
    assert "$(OTHER_UNITS),dh_installsystemd --name=$(unit) --no-enable --no-start" in rules
    assert "try-restart 'sharpedge-*.service'" in (DEBIAN / "sharpedge.postinst").read_text()


def test_the_extras_of_the_package_exist():
    known = re.findall(r"^(\S+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    wanted = (ROOT / "packaging" / "extras").read_text().strip()
    assert set(filter(None, wanted.split(","))) <= set(known)


KEY = re.compile(r"(?:# )?[a-z_]+ = ")


def test_every_key_of_the_shipped_settings_is_explained_in_the_line_above():
    lines = (SYSTEMD / "sharpedge.toml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if KEY.match(line)]
    assert len(keys) > 50
    for number in keys:
        above = lines[number - 1]
        assert above.startswith("# "), lines[number]
        assert not KEY.match(above), lines[number]


FOLLOWED = {
    "Debian package": 4,
    "A share for the scanner": 1,
    "Offline bundle": 1,
    "Containers": 1,
    "Upgrade": 1,
    "Downgrade": 1,
    "Remove": 2,
    "Build the package": 1,
}


def test_no_block_of_the_install_page_is_left_out_of_the_package_test():
    found = sections(ROOT / "docs" / "install.md")
    shown = {heading: len(blocks) for heading, blocks in found.items() if blocks}
    assert shown == FOLLOWED
