from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config
from edge.errors import ConfigError
from edge.system.paths import shared_file
from sharpedge.setup.template import EXAMPLE, Answers, filled, write

PLAIN = Answers("clinic", "xray1", "box1", Path("/srv/sharpedge/drop"))


def test_the_examples_own_answers_give_the_example():
    assert filled(PLAIN) == shared_file(EXAMPLE).read_text("utf-8")


def test_every_answer_arrives_in_its_key_and_every_comment_stays(tmp_path):
    answers = Answers(
        "ward", "r2", "b7", tmp_path / "in", tmp_path / "st", "broker.clinic", 8883, "b7",
        tmp_path / "pw", tmp_path / "ca.pem", tmp_path / "c.pem", tmp_path / "c.key", "puback",
    )  # fmt: skip
    text = write(tmp_path / "s.toml", answers)
    it = config.load(tmp_path / "s.toml", {})
    assert str(it.device) == "ward/r2/b7"
    assert (it.folders.watch, it.folders.state) == (tmp_path / "in", tmp_path / "st")
    assert (it.broker.host, it.broker.port, it.broker.username) == ("broker.clinic", 8883, "b7")
    assert it.broker.password_file == tmp_path / "pw"
    assert it.broker.ca_file == tmp_path / "ca.pem"
    assert it.broker.certificate_file == tmp_path / "c.pem"
    assert it.broker.key_file == tmp_path / "c.key"
    assert it.delivery.mode == "puback"
    example = shared_file(EXAMPLE).read_text("utf-8").splitlines()
    words = [line for line in example if line.startswith("# ") and " = " not in line]
    assert all(line in text.splitlines() for line in words)


def test_a_setting_that_reads_like_the_example_s_comment_is_written_all_the_same(tmp_path):
    """The comments show example paths; the default is that no key is set."""
    answers = Answers(
        "clinic", "xray1", "box1", Path("/srv/sharpedge/drop"), host="broker.clinic", port=8883,
        username="box1", password_file=Path("/etc/sharpedge/broker.password"),
        ca_file=Path("/etc/sharpedge/ca.pem"), certificate_file=Path("/etc/sharpedge/box1.pem"),
        key_file=Path("/etc/sharpedge/box1.key"),
    )  # fmt: skip
    write(tmp_path / "s.toml", answers)
    it = config.load(tmp_path / "s.toml", {}).broker
    assert it.ca_file == answers.ca_file
    assert it.certificate_file == answers.certificate_file
    assert it.key_file == answers.key_file
    assert (it.username, it.password_file) == ("box1", answers.password_file)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_any_path_and_user_survives_the_file(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    write(folder / "s.toml", Answers("a", "b", "c", Path(f"/x{text}"), username=text))
    it = config.load(folder / "s.toml", {})
    assert it.folders.watch == Path(f"/x{text}")
    assert it.broker.username == text


def test_an_answer_that_cannot_be_used_leaves_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"s\.toml:\d+: site\.name"):
        write(tmp_path / "s.toml", Answers("two words", "b", "c", Path("/x")))
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_keeps_what_is_not_answered_and_stands_beside_the_new_one(tmp_path):
    path = tmp_path / "s.toml"
    before = (
        "# ours\n[site]\nname = 'old'\nroom = 'r1'\n\n[broker]\nhost = 'mq'\n"
        "ca_file = '/etc/ca.pem'\nusername = 'u'\n\n[metrics]\nport = 9309\n"
    )
    path.write_text(before)
    answers = Answers("ward", "r2", "b7", Path("/in"), host="mq2", port=8883)
    text = write(path, answers, before)
    it = config.load(path, {})
    assert str(it.device) == "ward/r2/b7"
    assert (it.broker.host, it.broker.port, it.metrics.port) == ("mq2", 8883, 9309)
    assert (it.broker.ca_file, it.broker.username) == (None, None)
    assert text.startswith("# ours\n")
    assert "# ca_file = '/etc/ca.pem'" in text
    assert (tmp_path / "s.toml.before-init").read_text() == before
