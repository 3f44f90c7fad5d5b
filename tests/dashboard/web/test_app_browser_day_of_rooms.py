"""A day of three rooms on the page alone, in a real browser without a screen."""

from __future__ import annotations

import csv
import io
import os
import urllib.request

import pytest
from appliance import until
from npm_tools import FOLDER, NoNpmToolsError, NpmTools
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from served import Served, fill, now_s, press, room, sign_in, text_of

from edge.contract.payloads import Alert, Presence
from edge.contract.vocabulary import Laterality, Limb, Reason

PASSWORD = "correct horse battery"  # noqa: S105 - of this test
FULL = os.environ.get("SHARPEDGE_DASHBOARD") == "full"
_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run().then((it) => done(it.violations.map((one) => [one.impact, one.id, one.nodes[0].html])));
"""
ROOMS = ("xray1", "xray2", "xray3")


@pytest.fixture
def served(broker, tmp_path):
    it = Served(tmp_path, broker.port).start()
    yield it
    it.kill()
    assert "Traceback" not in it.log.read_text()


@pytest.fixture
def rooms(broker, served):  # noqa: ARG001 - the dashboard's session is there first
    made = [room(broker.port, name) for name in ROOMS]
    yield made
    for one in made:
        one.close()


def set_up(driver, served):
    """The first admin, who makes a reader and an operator."""
    driver.get(f"{served.url}setup")
    fill(driver, token=served.token, name="Root", password=PASSWORD)
    until(lambda: driver.current_url.endswith("/sign-in"))
    sign_in(driver, served.url, "Root", PASSWORD)
    for name, role in (("Rita", "reader"), ("Otto", "operator")):
        driver.get(f"{served.url}people")
        fill(driver, name=name, role=role, password=PASSWORD)
        until(lambda name=name: f"{name} may sign in" in text_of(driver))


def as_person(driver, served, name):
    driver.delete_all_cookies()
    sign_in(driver, served.url, name, PASSWORD)


def test_a_day_of_three_rooms_with_held_films_is_done_on_the_page_alone(driver, served, rooms):
    set_up(driver, served)
    as_person(driver, served, "Otto")
    held = []
    for number, one in enumerate(rooms):
        one.tell()
        for side in Laterality:
            one.scored(one.film("P1", 1, Limb.HAND, side, now_s() - 60 + number))
        held.append(one.held(one.film("P2", 1, Limb.FOOT, Laterality.LEFT, now_s() - number),
                             Reason.SIDE_NOT_KNOWN))  # fmt: skip
    # They come to the open page by themselves, held films first.
    until(lambda: "held 3" in text_of(driver) and "new 6" in text_of(driver))
    first = "return document.querySelector('#list tbody tr').textContent"
    assert "neither tags nor file name say left or right" in driver.execute_script(first)
    for count in (2, 1):
        press(driver, "tr.needs a")
        for name in ("side-R", "limb-foot"):
            choice = driver.find_element(By.ID, name)
            choice.send_keys(Keys.SPACE)
            assert choice.is_selected()
        driver.find_element(By.ID, "release").send_keys(Keys.ENTER)
        # The device's answer and the new result come to the open page.
        until(lambda: "release as right foot by Otto" in text_of(driver))
        until(lambda: "A later result replaces this one" in text_of(driver))
        driver.get(served.url)
        until(lambda count=count: f"held {count}" in text_of(driver))
    press(driver, "tr.needs a")
    press(driver, "#dismiss")
    until(lambda: "dismissed" in text_of(driver))
    assert "no such device" not in text_of(driver)
    as_person(driver, served, "Rita")
    until(lambda: "held 0" in text_of(driver))
    _correct_and_read(driver)
    rows = _saved(driver, served.url)
    assert len([row for row in rows if row[3] == "scored"]) == 8
    assert [row[3] for row in rows].count("replaced") == 2
    assert [row[3] for row in rows].count("dismiss") == 1
    results = {row[-1] for row in rows}
    assert results == set.union(*(one.receipts for one in rooms))


def _correct_and_read(driver):
    """A reader looks closer, states another grade, and marks the next film as read."""
    press(driver, "tr.fresh a")
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "#marks rect"))
    width = driver.find_element(By.ID, "film").size["width"]
    stage = driver.find_element(By.ID, "stage")
    stage.send_keys("+", "+")
    until(lambda: driver.find_element(By.ID, "film").size["width"] > 1.5 * width)
    stage.send_keys("i")
    assert "url" in driver.find_element(By.ID, "film").value_of_css_property("filter")
    stage.send_keys("b")
    assert "off" in driver.find_element(By.ID, "marks").get_attribute("class")
    choice = driver.find_element(By.CSS_SELECTOR, "td.reader select")
    choice.send_keys("5")
    press(driver, "#keep")
    until(lambda: "Grades of 1 joints are kept" in text_of(driver))
    assert "Rita" in driver.find_element(By.CSS_SELECTOR, "tr.corrected").text
    press(driver, ".brand")
    press(driver, "tr.fresh a")
    press(driver, "#mark-read")
    until(lambda: "read by" in text_of(driver))


def _saved(driver, url):
    """The worklist as a file, with the browser's cookies."""
    driver.get(f"{url}?show=all")
    link = driver.find_element(By.LINK_TEXT, "CSV").get_attribute("href")
    cookies = "; ".join(f"{it['name']}={it['value']}" for it in driver.get_cookies())
    request = urllib.request.Request(link, headers={"cookie": cookies})  # noqa: S310 - ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        # Between the header and the notice.
        return list(csv.reader(io.StringIO(answer.read().decode())))[1:-1]


@pytest.mark.skipif(not FULL, reason="run by make dashboard-test")
def test_an_open_page_says_that_the_dashboard_is_gone_and_comes_back(driver, served, rooms):
    set_up(driver, served)
    driver.get(served.url)
    served.kill()
    until(lambda: "does not answer" in text_of(driver), 30)
    served.start()
    rooms[0].scored(rooms[0].film("P1", 1, Limb.HAND, Laterality.LEFT, now_s()))
    until(lambda: "left hand" in text_of(driver), 60)
    assert not driver.find_element(By.ID, "trouble").is_displayed()
    # Connections that were refused meanwhile stand in the log.
    driver.get_log("browser")


@pytest.fixture
def shown(driver, served, rooms):
    """Paths of every kind of page, with something on each."""
    set_up(driver, served)
    one = rooms[0]
    result = one.scored(one.film("P1", 1, Limb.HAND, Laterality.LEFT, now_s() - 1e7))
    one.scored(one.film("P1", 2, Limb.HAND, Laterality.LEFT, now_s()))
    one.held(one.film("P2", 1, Limb.FOOT, Laterality.LEFT, now_s()))
    one.tell(Presence.DEGRADED, Alert(code="disk_low", detail="less than min_free_mib is free"))
    driver.get(served.url)
    until(lambda: "held 1" in text_of(driver) and "new 2" in text_of(driver))
    driver.get(f"{served.url}film/1")
    press(driver, "#keep")
    return ["", "film/1", "film/3", f"study/{result.study}", f"patient/{result.patient}",
            "devices", "corrections", "people", "audit", "problems", "account", "none"]  # fmt: skip


@pytest.mark.skipif(not FULL, reason="run by make dashboard-test")
def test_nothing_is_wider_than_a_phone_or_a_page_at_twice_its_size(driver, served, shown):
    # 640 px stand for 1,280 px at 200 %.
    for width in (390, 640):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False})  # fmt: skip
        for path in shown:
            driver.get(f"{served.url}{path}")
            wide = driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, (path, wide)
    driver.get_log("browser")


@pytest.mark.skipif(not FULL, reason="run by make dashboard-test")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_core_finds_nothing(driver, served, shown, axe, theme):
    driver.get(served.url)
    driver.find_element(By.XPATH, f"//button[@value='{theme}']").click()
    for path in (*shown, "sign-in"):
        driver.get(f"{served.url}{path}")
        driver.execute_script(axe)
        found = driver.execute_async_script(_RUN_AXE)
        assert found == [], path
    driver.get_log("browser")


@pytest.fixture(scope="module")
def axe():
    try:
        tools = NpmTools(FOLDER.with_name("npm-axe"), ("axe-core@4.14.1",))
    except NoNpmToolsError as error:
        pytest.skip(str(error))
    del tools
    return (FOLDER.with_name("npm-axe") / "node_modules/axe-core/axe.min.js").read_text()
