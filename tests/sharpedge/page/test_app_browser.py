"""A technician's day on the page alone, in a real browser without a screen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from appliance import ROOT, free_port, until
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
TEXT_AND_PAPER = """
const found = [];
for (const it of document.querySelectorAll("h1,h2,h3,p,td,th,button,a,legend,label span,li,b")) {
  if (!it.offsetParent || it.matches('.skip, .sr') || !it.textContent.trim()) continue;
  let at = it, paper = "rgba(0, 0, 0, 0)";
  while (at && paper === "rgba(0, 0, 0, 0)") {
    paper = getComputedStyle(at).backgroundColor; at = at.parentElement;
  }
  const style = getComputedStyle(it);
  found.push([it.textContent.trim().slice(0, 30), style.color, paper, style.fontSize]);
}
return found;
"""


def scanned(words, seed):
    """A film as the stand-in reads it and a browser shows it."""
    pixels = np.random.default_rng(seed).integers(0, 80, (300, 240), np.uint8)
    pixels[60:280, 80:160] += 120
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    comment = f"stand-in {words} \x11".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


@pytest.fixture
def driver(page):  # noqa: ARG001 - it outlives the browser
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser on this machine (Debian packages chromium and chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--window-size=1280,1000", "--disable-background-networking"):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        it = webdriver.Chrome(options=options, service=Service(DRIVER))
    except WebDriverException as error:
        pytest.skip(f"the browser does not start here: {error.msg}")
    yield it
    log = it.get_log("browser")
    it.quit()
    # What the policy for content forbids would stand here.
    assert [line for line in log if line["level"] == "SEVERE"] == []


@pytest.fixture
def page(broker, make_appliance, tmp_path):
    """An appliance, and its page as a process; gives both, with the page's address."""
    appliance = make_appliance(broker.port).start()
    port = free_port()
    command = [sys.executable, "-m", "sharpedge.cli", "page", "--port", str(port),
               "--socket", str(appliance.state / "operator.sock"),
               "--state", str(tmp_path / "page")]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ)) as process:
        until((tmp_path / "page" / "page.token").exists)
        yield appliance, f"http://127.0.0.1:{port}/"
        process.terminate()


def sign_in(driver, address, tmp_path):
    token = (tmp_path / "page" / "page.token").read_text().strip()
    until(lambda: _loads(driver, f"{address}sign-in"), 60)
    # By keyboard alone: the name has the focus.
    driver.switch_to.active_element.send_keys("Anna Müller", Keys.TAB, token, Keys.ENTER)
    until(lambda: "Held for a person" in text_of(driver))


def _loads(driver, address):
    with contextlib.suppress(WebDriverException):
        driver.get(address)
        return driver.title.startswith("Sign in")
    return False


def text_of(driver):
    with contextlib.suppress(StaleElementReferenceException, WebDriverException):
        return driver.find_element(By.TAG_NAME, "body").text
    return ""


def test_a_technicians_day_is_done_on_the_page_alone(driver, page, subscriber, tmp_path):
    appliance, address = page
    held = {3: ("L", "hand"), 9: ("R", "hand"), 15: ("L", "foot"), 21: ("R", "foot")}
    for number in range(30):
        words = "limb=LH" if number not in (*held, 27) else "reason=side_not_known"
        appliance.put(f"IMG{number:07d}.jpg", scanned(words, number))
    subscriber.wait("result", 25, 60)
    subscriber.wait("reject", 5, 60)
    sign_in(driver, address, tmp_path)
    until(lambda: "Held for a person: 5" in text_of(driver))
    assert len(driver.find_elements(By.CSS_SELECTOR, ".thumb img")) == 5
    # Found again at each look: the list is drawn again when something changes.
    shown = """
        const it = document.querySelectorAll(".thumb img")[arguments[0]];
        it.scrollIntoView();
        return it.complete && it.naturalWidth;
    """
    for number in range(5):
        until(lambda number=number: driver.execute_script(shown, number) == 240, 60)
    for number, (side, limb) in held.items():
        release(driver, f"IMG{number:07d}.jpg", side, limb)
    until(lambda: dismissed(driver, "IMG0000027.jpg"))
    until(lambda: "No film waits for you." in text_of(driver))
    results = subscriber.wait("result", 29)
    stated = {(it.laterality, it.limb) for it in results if it.laterality_source == "operator"}
    assert stated == set(held.values())
    until(lambda: "29" in text_of(driver) or driver.refresh())
    audit = appliance.audit()
    assert audit["findings"] == []
    assert audit["states"]["dismissed"] == 1
    assert "dismissed by Anna Müller (via " in text_of(driver)


def card(driver, name):
    return driver.find_element(By.XPATH, f"//article[.//span[text()='{name}']]")


def dismissed(driver, name):
    with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
        card(driver, name).find_element(By.CSS_SELECTOR, "[id^=dismiss]").click()
        return True
    return False


def chosen(driver, name, part):
    with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
        choice = card(driver, name).find_element(By.CSS_SELECTOR, f"[id^={part}]")
        choice.send_keys(Keys.SPACE)
        return choice.is_selected()
    return False


def release(driver, name, side, limb):
    """Choose by keyboard, as someone without a mouse would."""
    until(lambda: name in text_of(driver))
    for group, value in (("side", side), ("limb", limb)):
        until(lambda part=f"{group}-{value}-": chosen(driver, name, part))
    it = card(driver, name)
    job = it.get_attribute("id").removeprefix("film-")
    it.find_element(By.ID, f"release-{job}").send_keys(Keys.ENTER)
    says = {"L": "left", "R": "right"}[side]
    until(lambda: f"Film {job} is scored as {says} {limb}" in text_of(driver))


def test_focus_is_seen_and_survives_a_change(driver, page, tmp_path):
    appliance, address = page
    appliance.put("a.jpg", scanned("reason=side_not_known", 1))
    sign_in(driver, address, tmp_path)
    until(lambda: "Held for a person: 1" in text_of(driver))
    seen = []
    for _ in range(12):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        style = (
            "const it = document.activeElement.matches('[type=radio]') ? "
            "document.activeElement.nextElementSibling : document.activeElement;"
            "return [it.outerHTML.slice(0, 40), getComputedStyle(it).outlineWidth]"
        )
        seen.append(driver.execute_script(style))
    assert {width for _, width in seen} == {"4px"}
    wanted = driver.find_element(By.CSS_SELECTOR, "[id^=retry]")
    driver.execute_script("arguments[0].focus()", wanted)
    appliance.put("b.jpg", scanned("reason=side_not_known", 2))
    until(lambda: "Held for a person: 2" in text_of(driver))
    focused = "return document.activeElement.id"
    until(lambda: driver.execute_script(focused).startswith("retry"))


def test_a_choice_that_was_begun_is_not_taken_away(driver, page, tmp_path):
    appliance, address = page
    appliance.put("a.jpg", scanned("reason=side_not_known", 1))
    sign_in(driver, address, tmp_path)
    until(lambda: "Held for a person: 1" in text_of(driver))
    choice = driver.find_element(By.CSS_SELECTOR, "[id^=side-L]")
    choice.send_keys(Keys.SPACE)
    appliance.put("b.jpg", scanned("reason=side_not_known", 2))
    until(lambda: "finish your choice" in text_of(driver))
    assert choice.is_selected()


def test_text_has_contrast_and_the_wall_is_legible_at_3_m(driver, page, tmp_path):
    appliance, address = page
    reasons = ("side_not_known", "shape_implausible", "grades_doubtful", "other_body_part")
    for number, reason in enumerate(reasons):
        appliance.put(f"h{number}.jpg", scanned(f"reason={reason}", number))
        appliance.put(f"P{number}-LH.jpg", scanned("limb=LH", 9 + number))
    sign_in(driver, address, tmp_path)
    until(lambda: "Held for a person: 4" in text_of(driver))
    until(lambda: "P3-LH.jpg" in text_of(driver) or driver.refresh())
    for theme in ("light", "dark"):
        driver.set_window_size(1280, 1000)
        driver.get(address)
        driver.find_element(By.XPATH, f"//button[@value='{theme}']").click()
        until(lambda theme=theme: theme_of(driver) == theme)
        texts = driver.execute_script(TEXT_AND_PAPER)
        driver.set_window_size(1920, 1080)
        driver.get(f"{address}?wall")
        height = driver.execute_script("return innerHeight")
        assert driver.execute_script("return document.documentElement.scrollHeight") <= height
        on_wall = driver.execute_script(TEXT_AND_PAPER)
        for what, ink, paper, _ in (*texts, *on_wall):
            assert contrast(ink, paper) >= 4.5, (what, ink, paper)
        for what, _, _, size in on_wall:
            # On a screen 60 cm high at 3 m, 2.2 % of its height is 15 minutes of arc.
            assert float(size.removesuffix("px")) >= 0.022 * height, (what, size)


def test_on_a_phone_no_page_is_wider_than_the_screen(driver, page, tmp_path):
    appliance, address = page
    appliance.put(f"{'x' * 60}.jpg", scanned("reason=side_not_known", 1))
    appliance.put("P3-LH.jpg", scanned("limb=LH", 9))
    appliance.put("none.jpg", b"no film")
    sign_in(driver, address, tmp_path)
    until(lambda: "Held for a person: 1" in text_of(driver))
    until(lambda: "P3-LH.jpg" in text_of(driver) or driver.refresh())
    links = driver.find_elements(By.CSS_SELECTOR, "a[href*='/film/'], a[href*='/result/']")
    pages = {address, f"{address}?wall", *(it.get_attribute("href") for it in links)}
    assert len(pages) == 4
    for wide_px in (420, 360):
        # Narrower than a window may be: the device's own metrics are set.
        metrics = {"width": wide_px, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for one in sorted(pages):
            driver.get(one)
            shown = driver.execute_script("return document.documentElement.scrollWidth")
            assert shown <= wide_px, one
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def theme_of(driver):
    return driver.execute_script("return document.documentElement.dataset.theme")


def contrast(one, other):
    """Ratio of two colours by WCAG 2."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [float(it) / 255 for it in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
