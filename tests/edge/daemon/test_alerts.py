"""Standing alerts: raised, changed, ended; every change is told once."""

from edge.daemon.alerts import Alerts


def test_every_change_is_told_once_and_what_stands_is_kept_in_order():
    told = []
    alerts = Alerts(lambda: told.append(alerts.active()))
    assert alerts.update("folder", "the share hangs")
    assert not alerts.update("folder", "the share hangs")
    assert alerts.update("disk_low", "no film is taken")
    assert alerts.update("folder", "the share is gone")
    assert [(it.code, it.detail) for it in told[-1]] == [
        ("folder", "the share is gone"),
        ("disk_low", "no film is taken"),
    ]
    assert alerts.update("folder", None)
    assert not alerts.update("folder", None)
    assert [len(standing) for standing in told] == [1, 2, 2, 1]


def test_what_is_noted_is_told_by_who_noted_it():
    told = []
    alerts = Alerts(lambda: told.append(1))
    assert alerts.note("self_test", "a grade differs")
    assert alerts.note("self_test", "")
    assert told == []
    assert alerts.active() == ()
