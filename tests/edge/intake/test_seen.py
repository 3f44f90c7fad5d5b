"""The table of known files answers as a dictionary would, and takes a few bytes a file."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from edge.intake import seen
from edge.intake.seen import Known, Listing, Seen, mark_of
from edge.model import Signature

PATHS = st.sampled_from([b"/drop/%d.jpg" % n for n in range(8)])
SIGNATURES = st.builds(Signature, st.just(1), st.integers(1, 3), st.integers(0, 2), st.just(5))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), PATHS, SIGNATURES),
        st.tuples(st.just("forget"), PATHS, st.none()),
        st.tuples(st.just("keep"), st.lists(PATHS), st.none()),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_answers_as_a_dictionary_would(steps):
    before, seen._RECENT = seen._RECENT, 3
    try:
        table, plain = Seen(), {}
        for what, subject, signature in steps:
            if what == "note":
                table.note(subject, signature)
                plain[subject] = signature[1:]
            elif what == "forget":
                table.forget(subject)
                plain.pop(subject, None)
            else:
                table.keep_only(Listing(map(mark_of, subject)))
                plain = {path: it for path, it in plain.items() if path in subject}
            for path in [b"/drop/%d.jpg" % n for n in range(8)]:
                assert table.holds(path) == (path in plain)
                if path in plain:
                    assert table.is_same(path, Signature(9, *plain[path]))
                    assert not table.is_same(path, Signature(9, 7, 7, 7))
    finally:
        seen._RECENT = before


def test_a_hundred_thousand_files_take_a_few_bytes_each():
    table = Seen()
    for number in range(100_000):
        table.note(b"/drop/%d.jpg" % number, Signature(1, number, 2, 3))
    table.keep_only(Listing(mark_of(b"/drop/%d.jpg" % number) for number in range(100_000)))
    size = table._paths.nbytes + table._digests.nbytes + sys.getsizeof(table._recent)
    assert size < 20 * 100_000
    assert table.holds(b"/drop/99999.jpg")
    assert not table.holds(b"/drop/100000.jpg")


@given(st.sets(PATHS), PATHS)
def test_a_listing_answers_only_whether_a_path_was_met(met, path):
    assert (path in Listing(map(mark_of, met))) == (path in met)


def test_a_file_of_an_earlier_release_is_known_without_its_ctime(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"film")
    found = (tmp_path / "a.jpg").stat()
    path = bytes(tmp_path / "a.jpg")
    old = Signature(7, found.st_ino, found.st_size, found.st_mtime_ns)
    known = Known(bytes(tmp_path), {path: old}.get)
    assert path in known
    (tmp_path / "a.jpg").write_bytes(b"other film")
    assert path not in known
