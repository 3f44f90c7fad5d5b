"""Both folders that films come from, as one."""

from __future__ import annotations

from edge.intake.intake import Condition
from edge.intake.intakes import Intakes
from edge.intake.seen import Listing, mark_of


class Played:
    """An intake that gives what the test put in."""

    def __init__(self, *films, listing=None, waiting=0, fault=None):
        self.films, self.listing = list(films), listing
        self.waiting, self.fault = waiting, fault
        self.following = self.is_started = True
        self.forgotten = []

    def fetch(self):
        return self.films.pop(0) if self.films else None

    def first_listing(self):
        return self.listing

    latest_listing = first_listing

    def condition(self):
        return Condition(self.waiting, True, self.fault, None, 0.0)

    def is_alive(self):
        return self.fault is None

    def forget(self, paths):
        self.forgotten.extend(paths)


def listing(*paths):
    return Listing(map(mark_of, paths))


def test_the_folders_take_turns_and_neither_waits_for_the_other():
    it = Intakes(Played(1, 2, 3), Played("a"))
    assert [it.fetch() for _ in range(5)] == [1, "a", 2, 3, None]


def test_a_listing_holds_the_paths_of_both():
    found = Intakes(
        Played(listing=listing(b"/d/1")), Played(listing=listing(b"/i/1"))
    ).latest_listing()
    assert b"/d/1" in found
    assert b"/i/1" in found
    assert b"/d/2" not in found
    assert len(found) == 2


def test_there_is_no_listing_while_one_folder_has_none():
    assert Intakes(Played(listing=listing(b"/d/1")), Played()).first_listing() is None
    assert Intakes(Played(), Played(listing=listing(b"/i/1"))).latest_listing() is None


def test_the_condition_is_the_drop_folders_and_counts_both():
    found = Intakes(Played(waiting=2, fault="away"), Played(waiting=3)).condition()
    assert (found.waiting, found.fault) == (5, "away")


def test_one_thread_that_ended_is_noticed():
    assert Intakes(Played(), Played()).is_alive()
    assert not Intakes(Played(), Played(fault="x")).is_alive()


def test_what_is_forgotten_is_forgotten_in_both():
    drop, inbox = Played(), Played()
    Intakes(drop, inbox).forget([b"/d/1"])
    assert drop.forgotten == inbox.forgotten == [b"/d/1"]
