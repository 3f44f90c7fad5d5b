import json
import subprocess
import sys

from doctor_box import box_in

from sharpedge.doctor import examination
from sharpedge.doctor.examination import examine


def doctor(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "sharpedge.cli", "doctor", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_wrong_configuration_is_a_finding_with_its_line(tmp_path):
    (tmp_path / "c.toml").write_text('[folders]\nwatch = "/srv"\nwotch = "x"\n')
    done = doctor("--config", tmp_path / "c.toml", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["check"] == "configuration"
    assert "c.toml:3" in finding["what"]


def test_a_check_that_may_not_look_does_not_end_the_others(tmp_path, monkeypatch):
    box_in(tmp_path)
    (tmp_path / "c.toml").write_text(
        f'[folders]\nwatch = "{tmp_path}/drop"\nstate = "{tmp_path}/state"\n[broker]\nport = 1\n'
    )

    def denied(_box):
        raise PermissionError(13, "Permission denied", "/var/lib/sharpedge")

    monkeypatch.setattr(examination, "check_machine", denied)
    found = list(examine(tmp_path / "c.toml"))
    assert "run this as root" in next(it.fix for it in found if "/var/lib" in it.what)
    assert "broker, port" in {it.check for it in found}
