"""A bare root in which the package is installed as the install page says."""

from __future__ import annotations

import os
import time

from clean_root import ROOT
from test_install import shell

PAGE = ROOT / "docs" / "install.md"
ASSUMED = {"DEBIAN_FRONTEND": "noninteractive"}
# Where the stub looks for Debian's own, which works on files.
REAL = "/usr/bin/systemctl.distrib"


class Box:
    """A bare root with what a box of Debian has, and the package beside; each step is timed."""

    def __init__(self, root, *, systemd):
        self.root = root
        self.times = []
        # What an administrator answers.
        (root.outside("/etc/apt/apt.conf.d") / "yes").write_text('APT::Get::Assume-Yes "true";\n')
        if systemd:
            self.replace_systemctl()
            root.add_stubs("editor")
            root.outside("/run/systemd/system").mkdir(parents=True)
            self.do("systemctl start mosquitto")

    def replace_systemctl(self):
        """Put the stub where the package's scripts look for systemctl."""
        self.root.add_stubs("systemctl.py")
        self.root.run(f"mv /usr/bin/systemctl {REAL}; mv /usr/local/sbin/systemctl /usr/bin/")

    def do(self, script, what=None):
        """Run a script, which must end well; in the background it may go on."""
        before_s = time.monotonic()
        done = self.root.run(
            f"umask 027\n{script}\necho $! >/run/background", environment=ASSUMED, timeout_s=3600
        )
        assert done.status == 0, f"{what or script}:\n{done.output}"
        if what:
            self.times.append((what, time.monotonic() - before_s))
        return done

    def follow(self, heading, number=0):
        """Run a block of the page."""
        return self.do(shell(PAGE, heading)[number], f"{heading} {number + 1}")

    def lines(self, heading, number=0):
        """Lines of a block of the page, for a test that does something between them."""
        return [line for line in shell(PAGE, heading)[number].splitlines() if line]

    def end_background(self):
        """End what the last block left running, as a user would with Ctrl-C."""
        self.root.run("kill $(cat /run/background)")

    def exists(self, *paths):
        """Which of these paths exist."""
        return [path for path in paths if os.path.lexists(self.root.outside(path))]
