"""Bare roots of Debian's releases, and packages to install in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from clean_root import ROOT, CleanRoot, NoCleanRootError

RELEASES = {"bookworm": "deb12", "trixie": "deb13"}
BUILD = ROOT / "build"
PACKAGES = BUILD / "packages"
BUNDLES = BUILD / "bundles"
# What a box with Debian has: an init system, Python, a broker.
USUAL = "systemd,python3,mosquitto"


def package_of(release, architecture="amd64"):
    """The newest built package of a release; skips where none was built."""
    return _newest(PACKAGES, f"sharpedge_*~{RELEASES[release]}_{architecture}.deb", "make deb")


def bundle_of(release, architecture="amd64"):
    """The newest bundle of a release; skips where none was built."""
    name = f"sharpedge_*~{RELEASES[release]}_{architecture}-bundle.tar"
    return _newest(BUNDLES, name, "make bundle")


def _newest(folder, pattern, command):
    found = [*folder.glob(pattern)]
    if not found:
        pytest.skip(f"no {pattern} in {folder} (run: {command})")
    return max(found, key=lambda path: path.stat().st_mtime)


def lower(release, packages="", architecture="amd64"):
    """Folder of a root that mmdebstrap made, kept under ``build/``; skips where it cannot."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed (Debian package mmdebstrap)")
    name = re.sub(r"\W+", "-", f"{release}-{architecture}-{packages}").strip("-")
    folder = BUILD / "roots" / name
    if not folder.is_dir():
        part = folder.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        include = [f"--include={packages}"] if packages else []
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--architectures={architecture}",
             *include, "--format=directory", release, str(part)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"mmdebstrap fails here: {made.stderr[-300:]}")
        part.rename(folder)
    return folder


def bare_root(folder, release, packages="", architecture="amd64"):
    """A root without a network; what is written in it is lost at its end."""
    try:
        return CleanRoot(folder, lower=lower(release, packages, architecture))
    except NoCleanRootError as error:
        pytest.skip(f"no clean root: {error}")


def later_version(package, version, folder):
    """The same package under another version: control file, ``__version__``."""
    tree = folder / f"tree-{version}"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    text = control.read_text()
    (earlier,) = re.findall(r"^Version: (.*)~deb", text, re.MULTILINE)
    control.write_text(text.replace(f"Version: {earlier}~", f"Version: {version}~"))
    (module,) = tree.glob("opt/sharpedge/lib/python3*/site-packages/edge/__init__.py")
    module.write_text(module.read_text().replace(f'"{earlier}"', f'"{version}"'))
    for compiled in (module.parent / "__pycache__").glob("__init__.*"):
        compiled.unlink()
    built = folder / package.name.replace(earlier, version)
    subprocess.run(["dpkg-deb", "-Znone", "-b", tree, built], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return built


def mebibytes(path):
    """Size of a file in MiB."""
    return path.stat().st_size / 2**20


def put(root, *paths, folder="/root"):
    """Copy files into a folder of a root."""
    for path in paths:
        shutil.copy(path, root.outside(folder) / Path(path).name)
