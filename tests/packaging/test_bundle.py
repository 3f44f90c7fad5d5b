"""The offline bundle: what its script refuses, and what it installs in a root with nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest
from clean_root import ROOT
from debian_root import RELEASES, bare_root, bundle_of, put
from package_box import Box
from test_install import received, wait_for

SCRIPT = ROOT / "packaging" / "bundle" / "install.sh"


@pytest.fixture
def folder(tmp_path):
    """A bundle for this machine, as far as its script gets without installing anything."""
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg is not installed")
    shutil.copy(SCRIPT, tmp_path)
    command = ". /etc/os-release; echo $ID-$VERSION_ID-$(dpkg --print-architecture)"
    release = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    (tmp_path / "release").write_text(release.stdout)
    (tmp_path / "model").write_text("weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  model\n")
    # What apt would be asked to do.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text('#!/bin/sh\necho "$@"\n')
    (tools / "id").write_text("#!/bin/sh\necho ${ID_OF_TEST:-0}\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    return tmp_path


def install(folder, **variables):
    environment = os.environ | {"PATH": f"{folder / 'tools'}:{os.environ['PATH']}"} | variables
    return subprocess.run(
        [folder / SCRIPT.name], env=environment, capture_output=True, text=True, check=False
    )


def test_a_whole_bundle_is_installed_from_its_own_folder_alone(folder):
    done = install(folder)
    assert done.returncode == 0, done.stderr
    update, installed = done.stdout.splitlines()
    assert update.endswith("-qq update")
    assert installed.endswith("sharpedge mosquitto")
    assert "Dir::Etc::SourceParts=/dev/null" in installed


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model").write_text("other"), "a file was changed or is missing"),
        (lambda folder: (folder / "model").unlink(), "a file was changed or is missing"),
        (
            lambda folder: (folder / "release").write_text("debian-9-armhf\n"),
            "this bundle is for debian-9-armhf",
        ),
    ],
    ids=["changed", "missing", "another release"],
)
def test_a_bundle_that_does_not_fit_is_refused_before_anything_is_installed(folder, spoil, message):
    spoil(folder)
    done = install(folder)
    assert (done.returncode, done.stdout.count("install")) == (1, 0)
    assert message in done.stderr
    assert "(fix: " in done.stderr


def test_without_root_it_says_so(folder):
    done = install(folder, ID_OF_TEST="1000")
    assert done.returncode == 1
    assert done.stderr == "install.sh: needs root (fix: sudo ./install.sh)\n"


@pytest.mark.package
@pytest.mark.parametrize("release", RELEASES)
def test_a_bundle_installs_in_a_root_that_has_nothing(release, tmp_path):
    bundle = bundle_of(release)
    root = bare_root(tmp_path, release)
    try:
        put(root, bundle)
        box = Box(root, systemd=False)
        unpack, run, status = box.lines("Offline bundle")
        box.do(f"{unpack}\n{run}")
        box.replace_systemctl()
        # As systemd would have done.
        box.do("systemctl start mosquitto; systemctl start sharpedge")
        wait_for(lambda: 'waiting for films"' in box.do(status).output, "films are not awaited")
        (folder,) = root.outside("/root").glob("*-bundle")
        listed = json.loads((folder / "sbom.cdx.json").read_text())
        names = {one["name"] for one in listed["components"]}
        assert {"onnxruntime", "weights/hand-mask.npz"} <= names
        listening = box.do("sharpedge listen --receipt try &")
        box.do(
            "sharpedge phantom --patients 1 --out films; cp films/P0001-LF.jpg /srv/sharpedge/drop/"
        )
        results = wait_for(lambda: received(listening, "result"), lambda: listening.output)
        assert (results[-1]["status"], results[-1]["limb"]) == ("scored", "foot")
        sums = (folder / "SHA256SUMS").read_text()
        assert len(re.findall(r"packages/.*\.deb$", sums, re.MULTILINE)) > 20
    finally:
        root.close()
