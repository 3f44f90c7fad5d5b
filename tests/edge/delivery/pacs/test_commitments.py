from __future__ import annotations

from edge.delivery.pacs.commitments import ASKS, NO_SUCH_INSTANCE, Commitments, Reference, Report


def references(*rows):
    return [Reference(row, "1.2", f"1.2.{row}") for row in rows]


def test_a_document_is_asked_about_at_once_and_again_without_a_report():
    it = Commitments(10)
    it.stored(1, 0)
    it.stored(2, 0)
    assert it.due(0) == [1, 2]
    it.asked("t1", references(1, 2), 0)
    assert it.due(9) == []
    for number in range(1, ASKS):
        assert it.due(10 * number) == [1, 2]
        assert not it.exhausted(1)
        it.asked(f"t{number + 1}", references(1, 2), 10 * number)
    assert it.due(10 * ASKS) == [1, 2]
    assert it.exhausted(1)


def test_each_round_waits_longer():
    it = Commitments(10)
    for rounds in range(3):
        it.stored(1, 0)
        it.asked(f"t{rounds}", references(1), 0)
        assert it.due(10 * 2**rounds - 1) == []
        assert it.due(10 * 2**rounds) == [1]
        assert it.next_round(1) == rounds + 1
        assert it.due(1e9) == []


def test_a_question_that_could_not_be_asked_does_not_count():
    it = Commitments(10)
    it.stored(1, 0)
    for number in range(9):
        assert not it.exhausted(1)
        it.asked(f"t{number}", references(1), number)
        it.put_off([1], number + 1)
    assert not it.exhausted(1)


def test_a_commitment_that_fails_again_and_again_is_asked_for_ever_more_rarely():
    it = Commitments(10)
    waits = []
    for rounds in range(3):
        it.stored(1, 0)
        it.asked(f"t{rounds}", references(1), 0)
        it.reported(Report(f"t{rounds}", frozenset(), {"1.2.1": 0x0110}), 0)
        waits.append(next(at for at in range(1000) if it.due(at)))
        it.next_round(1)
    assert waits == [10, 20, 40]


def test_a_late_report_of_an_earlier_question_counts():
    it = Commitments(10)
    it.stored(1, 0)
    it.asked("t1", references(1), 0)
    it.asked("t2", references(1), 10)
    assert it.reported(Report("t1", frozenset({"1.2.1"}), {}), 11).committed == (1,)
    assert it.due(1e9) == []
    assert it.reported(Report("t2", frozenset({"1.2.1"}), {}), 12).committed == ()


def test_a_report_of_another_transaction_or_instance_counts_for_nothing():
    it = Commitments(10)
    it.stored(1, 0)
    it.asked("t1", references(1), 0)
    assert it.reported(Report("t9", frozenset({"1.2.1"}), {}), 1).committed == ()
    assert it.reported(Report("t1", frozenset({"1.2.7"}), {}), 1).committed == ()
    assert it.due(10) == [1]


def test_a_failure_is_asked_about_again_and_a_missing_instance_stored_again():
    it = Commitments(10)
    it.stored(1, 0)
    it.stored(2, 0)
    it.asked("t1", references(1, 2), 0)
    failed = {"1.2.1": 0x0110, "1.2.2": NO_SUCH_INSTANCE}
    assert it.reported(Report("t1", frozenset(), failed), 1).failed == {1: 0x0110, 2: 0x0112}
    assert it.due(1) == [2]
    assert it.exhausted(2)
    assert it.due(11) == [1, 2]
    assert not it.exhausted(1)
    assert it.unanswered() == 2
