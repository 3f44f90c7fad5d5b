"""Which instances came before."""

from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.receive.instances import Instances


def test_other_bytes_of_a_known_instance_are_a_conflict_also_after_a_restart(tmp_path):
    it = Instances(tmp_path / "t")
    assert not it.note("1.2.3", b"a")
    assert not it.note("1.2.3", b"a")
    assert it.note("1.2.3", b"b")
    it.close()
    it = Instances(tmp_path / "t")
    assert it.note("1.2.3", b"b")
    assert not it.note("1.2.3", b"a")
    assert not it.note("1.2.4", b"b")
    it.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("123"), st.binary(max_size=2)), max_size=30))
def test_it_is_a_conflict_exactly_where_the_first_bytes_differ(tmp_path_factory, noted):
    it = Instances(tmp_path_factory.mktemp("instances") / "t")
    first = {}
    for uid, data in noted:
        assert it.note(uid, data) == (first.setdefault(uid, data) != data)
    it.close()


def test_of_two_threads_with_other_bytes_one_is_in_conflict(tmp_path):
    it, found = Instances(tmp_path / "t"), []
    gate = threading.Barrier(8)

    def note(number):
        gate.wait()
        found.append(it.note("1.2.3", b"%d" % number))

    threads = [threading.Thread(target=note, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] + [True] * 7
    it.close()


def test_the_file_holds_no_uid(tmp_path):
    it = Instances(tmp_path / "t")
    it.note("1.2.826.0.1.3680043.1234567", b"a")
    it.close()
    assert all(b"3680043" not in path.read_bytes() for path in tmp_path.iterdir())


def test_old_instances_are_forgotten(tmp_path):
    it = Instances(tmp_path / "t")
    it.note("1.2.3", b"a")
    assert it.forget_older(1) == 0
    assert it.forget_older(-1) == 1
    assert not it.note("1.2.3", b"b")
    it.close()


def test_a_table_with_a_damaged_page_is_set_aside(tmp_path):
    it = Instances(tmp_path / "t")
    for number in range(2000):
        it._db.execute("INSERT INTO instance VALUES (?, ?, 0)", (b"%d" % number, b"x" * 32))
    it.close()
    data = bytearray((tmp_path / "t").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xa5" * 4096
    (tmp_path / "t").write_bytes(data)
    it = Instances(tmp_path / "t")
    assert not it.note("1.2.3", b"a")
    it.close()
    assert any(".damaged-" in path.name for path in tmp_path.iterdir())


def test_a_damaged_table_is_set_aside(tmp_path, caplog):
    (tmp_path / "t").write_bytes(b"no database" * 1000)
    it = Instances(tmp_path / "t")
    assert not it.note("1.2.3", b"a")
    it.close()
    assert any(".damaged-" in path.name for path in tmp_path.iterdir())
    assert "a new one is begun" in caplog.text
