"""Container files: what they copy is there, what they set is known; one image is built."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from appliance import free_port, until
from clean_root import ROOT
from debian_root import bare_root, package_of
from test_install import sections

from edge.config import Config

PACKAGING = ROOT / "packaging"
FILES = [PACKAGING / "Containerfile", PACKAGING / "Containerfile.jetpack6"]
OF_DASHBOARD = PACKAGING / "Containerfile.dashboard"
BUILT = "build/packages/"


def steps(path, word):
    """Instructions of one kind, each in one line."""
    text = path.read_text().replace("\\\n", " ")
    return re.findall(rf"^{word} +(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", [*FILES, OF_DASHBOARD], ids=lambda path: path.name)
def test_everything_that_is_copied_is_in_the_clone_or_built(path):
    sources = [name for step in steps(path, "COPY") for name in step.split()[:-1]]
    assert sources
    for name in sources:
        assert (ROOT / name).exists() or name.startswith(BUILT), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_program_runs_as_the_service_s_user_by_the_start_script(path):
    assert steps(path, "USER") == ["sharpedge"]
    (entry,) = steps(path, "ENTRYPOINT")
    assert json.loads(entry) == ["/usr/local/bin/container-start"]
    assert os.access(PACKAGING / "container-start", os.X_OK)
    assert "esearch use only, not a medical device" in path.read_text()


def test_files_that_install_from_source_copy_what_it_needs():
    wanted = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "NOTICE", "engines"}
    wanted |= {
        "systemd",
        "packaging",
        "sharpedge",
        "dashboard",
        "edge",
        "export",
        "training",
        "phantom",
    }
    for path in (FILES[1], OF_DASHBOARD):
        copied = {name for step in steps(path, "COPY") for name in step.split()[:-1]}
        assert wanted | {"benchmarks"} <= copied
    assert "has not been built or run" in FILES[1].read_text()


def test_the_dashboard_s_container_runs_as_its_service_does():
    assert steps(OF_DASHBOARD, "USER") == ["sharpedge-dashboard"]
    (entry,), (words,) = steps(OF_DASHBOARD, "ENTRYPOINT"), steps(OF_DASHBOARD, "CMD")
    unit = (ROOT / "systemd" / "sharpedge-dashboard.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    assert json.loads(words) == started.split()
    assert json.loads(entry) == ["/usr/local/bin/sharpedge"]
    assert "esearch use only, not a medical device" in OF_DASHBOARD.read_text()


@pytest.mark.package
def test_the_dashboard_s_image_is_built_and_serves(tmp_path):
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (Debian package buildah)")
    storage = tmp_path / "storage"
    _bare_image(tmp_path, storage)
    buildah(
        "build", "--isolation", "chroot", "--network", "host", "--build-arg", "BASE=localhost/bare",
        *_certificates_of_machine(tmp_path), "--tag", "dashboard",
        "--file", "packaging/Containerfile.dashboard", ".", storage=storage,
    )  # fmt: skip
    box = buildah("from", "localhost/dashboard", storage=storage)
    script = (
        "timeout -s TERM 20 sharpedge dashboard --config /etc/sharpedge/dashboard.toml & sleep 12;"
        'python3 -c "import urllib.request as u;'
        "print(u.urlopen('http://127.0.0.1:8490/setup').status)\"; wait"
    )
    run = ["run", "--isolation", "chroot", box, "--", "sh", "-c", script]
    assert "200" in buildah(*run, storage=storage).splitlines()
    buildah("rm", box, storage=storage)


def test_compose_sets_known_keys_and_starts_a_broker_beside():
    services = yaml.safe_load((PACKAGING / "compose.yaml").read_text())["services"]
    assert set(services) == {"mosquitto", "sharpedge"}
    variables = services["sharpedge"]["environment"]
    assert variables["SHARPEDGE_BROKER_HOST"] == "mosquitto"
    for name in variables:
        section, key = name.removeprefix("SHARPEDGE_").lower().split("_", 1)
        assert key in Config.model_fields[section].annotation.model_fields, name
    assert services["sharpedge"]["read_only"] is True
    (mounted,) = [one for one in services["mosquitto"]["volumes"] if "conf" in one]
    assert (PACKAGING / mounted.split(":")[0]).is_file()
    assert services["mosquitto"]["ports"] == ["127.0.0.1:1883:1883"]


def test_the_broker_of_the_compose_file_starts_with_its_settings(tmp_path):
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if mosquitto is None:
        pytest.skip("mosquitto is not installed")
    text = (PACKAGING / "compose-mosquitto.conf").read_text()
    port = free_port()
    listener = f"user root\nlistener {port} 127.0.0.1"
    (tmp_path / "conf").write_text(
        text.replace("/mosquitto/data/", f"{tmp_path}/").replace("listener 1883", listener)
    )
    with subprocess.Popen(
        [mosquitto, "-c", tmp_path / "conf"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: process.poll() is not None or accepts(port))
            assert process.poll() is None
        finally:
            process.terminate()


def accepts(port):
    """Whether something listens on a port of this machine."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def buildah(*words, storage):
    """Standard output of buildah, whose images lie in a folder of their own."""
    root = ["--root", storage / "graph", "--runroot", storage / "run", "--storage-driver", "vfs"]
    done = subprocess.run(
        ["buildah", *root, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def _certificates_of_machine(folder):
    """Options that give pip, while an image is built, the authorities that this machine trusts."""
    trusted = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if not trusted:
        return ()
    (folder / "pip.conf").write_text("[global]\ncert = /machine.crt\n")
    return ("--volume", f"{trusted}:/machine.crt:ro",
            "--volume", f"{folder}/pip.conf:/etc/pip.conf:ro")  # fmt: skip


def _bare_image(folder, storage):
    """Debian as a registry would give it, under the name ``localhost/bare``."""
    root = bare_root(folder, "bookworm")
    tar = folder / "root.tar"
    subprocess.run(["tar", "-C", ROOT / "build/roots/bookworm-amd64", "-cf", tar, "."], check=True)
    root.close()
    base = buildah("from", "scratch", storage=storage)
    buildah("add", base, tar, "/", storage=storage)
    buildah("commit", "--rm", base, "localhost/bare", storage=storage)


@pytest.mark.package
def test_the_image_is_built_from_a_bare_root_and_scores_a_film(tmp_path):
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (Debian package buildah)")
    package_of("bookworm")
    storage = tmp_path / "storage"
    _bare_image(tmp_path, storage)
    buildah(
        "build", "--isolation", "chroot", "--network", "host", "--build-arg", "BASE=localhost/bare",
        "--tag", "sharpedge", "--file", "packaging/Containerfile", ".", storage=storage,
    )  # fmt: skip
    box = buildah("from", "localhost/sharpedge", storage=storage)
    mounted = buildah("mount", box, storage=storage)
    assert not list(Path(f"{mounted}/var/lib/sharpedge").iterdir())
    script = (
        "sharpedge export >/dev/null; sharpedge phantom --patients 1 --out /tmp/films >/dev/null;"
        "sharpedge score --json /tmp/films/P0001-LH.jpg"
    )
    run = ["run", "--isolation", "chroot", "--user", "sharpedge", box, "--", "sh", "-c", script]
    result = json.loads(buildah(*run, storage=storage).splitlines()[-1])
    assert (result["status"], result["n_scored"]) == ("scored", 10)
    buildah("rm", box, storage=storage)


def test_the_page_says_what_was_not_run():
    text = " ".join((ROOT / "docs" / "install.md").read_text().split())
    assert "`packaging/Containerfile.jetpack6`, for a Jetson, has not been built or run" in text
    (block,) = [text for _, text in sections(ROOT / "docs" / "install.md")["Containers"]]
    for name in re.findall(r"packaging/\S+", block):
        assert (ROOT / name).is_file()
