"""A machine on which nothing of ours is installed: a root file system laid over another one.

Needs Linux, root, and a kernel that allows overlay mounts and new namespaces. What is written goes
to memory and is lost at the end; the files below are never touched. Everything in it runs in its
own process, mount and, unless asked otherwise, network namespace, and ends with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUBS = ROOT / "tests" / "stubs"
CLONE = Path("/usr/src/sharpedge")
LOGIN = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}
_TOOLS = ("unshare", "nsenter", "mount", "chroot", "bash")
_OURS = (
    "/etc/sharpedge",
    "/etc/sysusers.d",
    "/etc/tmpfiles.d/sharpedge.conf",
    "/etc/systemd/system/sharpedge.service",
    "/etc/mosquitto/sharpedge.acl",
    "/etc/mosquitto/conf.d/sharpedge.conf",
    "/opt/sharpedge",
    "/usr/local/bin/sharpedge",
    "/usr/src/sharpedge",
    "/var/lib/sharpedge",
    "/srv/sharpedge",
    "/root/.local/share/sharpedge",
)
# Prints the process's number as seen outside, then, within the new root, that it is there; waits
# for its standard input to end.
_HOLD = """
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work" overlay root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -o bind,ro /sys root/sys
mount -t tmpfs -o mode=755 tmpfs root/run
mount -t tmpfs -o mode=1777 tmpfs root/tmp
read -r pid _ </proc/self/stat
echo "$pid"
cd root
exec chroot . /bin/bash -c 'echo within; read -r _'
"""
_LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh22x", b"lo", 0x41))
"""


class NoCleanRootError(Exception):
    """No clean root can be had on this machine; the text says why."""


@dataclass(frozen=True)
class Done:
    """A script that ended; what it left in the background may still write."""

    status: int
    log: Path

    @property
    def output(self):
        """Standard output and standard error together, up to now."""
        return self.log.read_text(errors="replace")


class CleanRoot:
    """A root file system of its own.

    Parameters
    ----------
    folder
        An empty folder outside.
    lower
        The file system that shows through, unchanged.
    network
        Whether it shares our network; otherwise it has a loopback device only.
    """

    def __init__(self, folder, *, lower=Path("/"), network=False):
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing:
            raise NoCleanRootError(f"not installed here: {', '.join(missing)}")
        if os.geteuid() != 0:
            raise NoCleanRootError("needs root")
        self._logs = Path(tempfile.mkdtemp(dir=folder))
        inner = folder / "overlay"
        inner.mkdir()
        space = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        self._holder = subprocess.Popen(
            ["unshare", *space, "bash", "-c", _HOLD, "hold", str(inner), str(lower)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        first = self._holder.stdout.readline().strip()
        if self._holder.stdout.readline().strip() != "within":
            _, reason = self._holder.communicate()
            lines = reason.strip().splitlines() or ["no reason given"]
            raise NoCleanRootError(f"not allowed here: {lines[-1]}")
        self._pid = int(first)
        self.path = Path(f"/proc/{first}/root")
        if not network:
            # By our own interpreter: a bare system may lack iproute2.
            enter = ["nsenter", f"--target={first}", "--net"]
            subprocess.run([*enter, sys.executable, "-c", _LOOPBACK_UP], check=True)

    def outside(self, path):
        """Where a file of this root is found from outside."""
        return self.path / str(path).lstrip("/")

    def run(self, script, *, folder="/root", environment=None, timeout_s=600):
        """Run a script as root in one shell that ends at the first failure."""
        number, log = tempfile.mkstemp(dir=self._logs)
        words = [f"{name}={value}" for name, value in {**LOGIN, **(environment or {})}.items()]
        command = [
            "nsenter", f"--target={self._pid}", "--mount", "--pid", "--net", "--root",
            "env", "-i", "-C", str(folder), *words,
            "bash", "-c", f"set -e -o pipefail\n{script}",
        ]  # fmt: skip
        with os.fdopen(number, "wb") as out:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                check=False, timeout=timeout_s,
            )  # fmt: skip
        return Done(done.returncode, Path(log))

    def close(self):
        """End everything that runs in it; its mounts end with it."""
        self._holder.communicate()

    def remove_ours(self):
        """Take away what an installation of ours on the system below shows."""
        paths = " ".join(_OURS)
        script = f"rm -rf {paths}; ! id sharpedge >/dev/null 2>&1 || userdel sharpedge"
        done = self.run(f"{script}\n! command -v sharpedge")
        if done.status:
            raise NoCleanRootError(f"not clean: {done.output}")

    def add_clone(self, *, leave_out=()):
        """Copy the repository's tracked files, but for folders or names that are left out."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and not name.startswith(tuple(leave_out)):
                target = self.outside(CLONE / name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)

    def add_stubs(self, *names):
        """Put programs of ``tests/stubs`` before the system's own."""
        for name in names:
            target = self.outside("/usr/local/sbin") / name.removesuffix(".py")
            shutil.copy(STUBS / name, target)
            target.chmod(0o755)

    def use_own_python(self):
        """Let ``python3`` be our interpreter, and its environments see our packages.

        Everybody in this root may read both, wherever they lie.
        """
        base = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
        packages = sorted({sysconfig.get_path(kind) for kind in ("purelib", "platlib")})
        for path in (base, *map(Path, packages)):
            if not self.outside(path).exists():
                raise NoCleanRootError(f"{path} lies on a mount of its own")
            for parent in path.parents:
                seen = self.outside(parent)
                if not seen.stat().st_mode & 0o001:
                    seen.chmod(seen.stat().st_mode | 0o055)
        text = (STUBS / "python3").read_text()
        text = text.replace("@PYTHON@", str(base)).replace("@PACKAGES@", " ".join(packages))
        target = self.outside("/usr/local/bin/python3")
        target.unlink(missing_ok=True)
        target.write_text(text)
        target.chmod(0o755)


OFFLINE = {
    "APT_OFFLINE": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this variable the other way round
    "PIP_IGNORE_INSTALLED": "1",
    "PIP_NO_COMPILE": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}
"""For pip and the stub of apt-get in a root without a network that uses our packages."""
