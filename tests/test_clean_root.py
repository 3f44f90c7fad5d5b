"""The clean root leaves this machine as it is, and says why where it cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from clean_root import CleanRoot, NoCleanRootError


def test_what_is_written_never_reaches_this_machine(clean_root):
    done = clean_root.run("echo written >/etc/clean-root-test; rm /etc/passwd; ls /tmp /run")
    assert done.status == 0, done.output
    assert clean_root.outside("/etc/clean-root-test").read_text() == "written\n"
    assert not clean_root.outside("/etc/passwd").exists()
    assert not Path("/etc/clean-root-test").exists()
    assert Path("/etc/passwd").exists()


def test_it_reaches_itself_and_no_network(clean_root):
    interfaces = clean_root.run("tail -n +3 /proc/net/dev | cut -d: -f1").output.split()
    assert interfaces == ["lo"]
    assert clean_root.run("exec 3<>/dev/tcp/127.0.0.1/9").output.count("Connection refused")


def test_a_script_ends_at_its_first_failure(clean_root):
    done = clean_root.run("echo one; false | cat; echo two")
    assert (done.status, done.output) == (1, "one\n")


def space_of(process):
    """The process namespace of a process; None where it has just ended."""
    try:
        return (process / "ns" / "pid").readlink()
    except OSError:
        return None


def test_what_is_left_in_the_background_ends_with_the_root(clean_root):
    clean_root.run("sleep 1000 &")
    space = space_of(clean_root.path.parent)
    in_it = lambda: [p for p in Path("/proc").glob("[0-9]*") if space_of(p) == space]  # noqa: E731
    assert len(in_it()) == 2
    clean_root.close()
    assert not in_it()


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda patch, _: patch.setattr(os, "geteuid", lambda: 1000), "needs root"),
        (lambda patch, _: patch.setenv("PATH", ""), "not installed here: unshare"),
        (
            lambda patch, folder: patch.setenv("PATH", f"{folder}:{os.environ['PATH']}"),
            "not allowed here: unshare: Operation not permitted",
        ),
    ],
    ids=["not root", "no tools", "no namespaces"],
)
def test_the_reason_is_given_where_none_can_be_had(tmp_path, monkeypatch, break_it, why):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refusing = tmp_path / "bin" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    break_it(monkeypatch, refusing.parent)
    with pytest.raises(NoCleanRootError, match=why):
        CleanRoot(tmp_path)
