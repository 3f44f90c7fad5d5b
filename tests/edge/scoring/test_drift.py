import json

import numpy as np
import pytest
from appliance import until
from stand_in import film_bytes

from edge.anatomy import Limb
from edge.scoring.drift import COMMISSIONING, RECENT, DriftWatch, as_table, in_words

NAMES = ("mean", "deviation", "unit_px", "erosion")


def films(count, rng, **moved):
    for _ in range(count):
        yield {name: rng.normal(10 + moved.get(name, 0), 2) for name in NAMES}


def fill(watch, figures, limb=Limb.HAND, engines="a"):
    for one in figures:
        watch.note(limb, engines, one)


def test_films_like_the_first_ones_raise_no_alarm_at_twenty_sites(tmp_path):
    for site in range(20):
        watch = DriftWatch(tmp_path / str(site))
        fill(watch, films(COMMISSIONING + RECENT, np.random.default_rng(site)))
        assert in_words(watch.shifts()) == ""


def test_darker_films_are_told_and_the_other_figures_are_not(tmp_path):
    rng = np.random.default_rng(1)
    watch = DriftWatch(tmp_path)
    fill(watch, films(COMMISSIONING, rng))
    fill(watch, films(RECENT, rng, mean=-4))
    (drifted,) = [shift for shift in watch.shifts() if shift.drifted]
    assert (drifted.limb, drifted.figure) == (Limb.HAND, "mean")
    assert drifted.shift == pytest.approx(-2, abs=0.6)
    assert in_words(watch.shifts()).startswith("hand: mean 9.9")
    assert "DRIFTED" in as_table(watch)


def test_nothing_is_said_before_enough_films_were_seen(tmp_path):
    rng = np.random.default_rng(2)
    watch = DriftWatch(tmp_path)
    fill(watch, films(COMMISSIONING, rng))
    fill(watch, films(RECENT - 1, rng, mean=50))
    assert watch.shifts() == []
    assert f"{RECENT - 1} of {RECENT} recent" in as_table(watch)


def test_other_engines_and_a_new_beginning_set_the_measure_anew(tmp_path):
    rng = np.random.default_rng(3)
    watch = DriftWatch(tmp_path)
    fill(watch, films(COMMISSIONING + RECENT, rng))
    fill(watch, films(1, rng, erosion=9), engines="b")
    seen = watch.seen(Limb.HAND)
    assert (seen.engines, len(seen.first), len(seen.recent)) == ("b", 1, 0)
    watch.begin_again()
    assert watch.seen(Limb.HAND) is None


def test_damaged_file_is_begun_anew_and_never_stops_a_film(tmp_path):
    watch = DriftWatch(tmp_path)
    fill(watch, films(3, np.random.default_rng(4)))
    (tmp_path / "hand.json").write_bytes(b"{torn")
    fill(watch, films(1, np.random.default_rng(5)))
    assert len(watch.seen(Limb.HAND).first) == 1


def test_figure_that_never_varied_may_vary_a_little(tmp_path):
    watch = DriftWatch(tmp_path)
    fill(watch, ({"left_out": 0.0, "unit_px": 300.0} for _ in range(COMMISSIONING)))
    fill(watch, ({"left_out": 0.0, "unit_px": 300.1} for _ in range(RECENT)))
    assert in_words(watch.shifts()) == ""


def test_film_without_figures_is_passed_over(tmp_path):
    watch = DriftWatch(tmp_path)
    watch.note(Limb.FOOT, "a", {})
    assert watch.seen(Limb.FOOT) is None


def alerts(subscriber):
    return {alert.code: alert.detail for alert in subscriber.of("state")[-1].alerts}


def test_drift_is_an_alert_until_somebody_begins_again(broker, subscriber, make_appliance):
    it = make_appliance(broker.port).start()
    it.put("1.jpg", film_bytes("mean=100"))
    subscriber.wait("result", 1)
    watch = DriftWatch(it.state / "drift")
    until(lambda: watch.seen(Limb.HAND) is not None)
    engines = watch.seen(Limb.HAND).engines
    for i in range(COMMISSIONING + RECENT - 2):
        watch.note(Limb.HAND, engines, {"mean": (100.0 if i < COMMISSIONING else 60.0) + i % 5})
    it.put("2.jpg", film_bytes("mean=61"))
    until(lambda: "hand: mean 10" in alerts(subscriber).get("drift", ""))
    told = it.order("drift", "--json")
    assert told.returncode == 1
    (shift,) = json.loads(told.stdout)["shifts"]
    assert shift["drifted"]
    assert "DRIFTED" in it.order("drift").stdout
    assert it.order("drift", "--begin-again").returncode == 0
    it.put("3.jpg", film_bytes("mean=62"))
    until(lambda: "drift" not in alerts(subscriber))
    assert it.order("drift").returncode == 0
