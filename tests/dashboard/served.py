"""The dashboard as a process with a broker, and a browser without a screen."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

import cv2
import numpy as np
from appliance import ROOT, free_port, until
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    WebDriverException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from dashboard.simulated_room import SimulatedRoom
from edge.contract.ids import DeviceName

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PLACED = b"sharpedge placed 0.5 0 0 0 0.5 0"


class Served:
    """A dashboard of its own; `say` are the lines that it printed."""

    def __init__(self, folder, broker_port, extra=""):
        self.port = free_port()
        self.folder = folder
        self.config = folder / "dashboard.toml"
        self.config.write_text(
            f"state = '{folder / 'state'}'\n[broker]\nport = {broker_port}\n"
            f"[web]\nport = {self.port}\n{extra}"
        )
        self.log = folder / "dashboard.log"
        self._process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    @property
    def token(self):
        return re.search(r"the token (\S+)", self.log.read_text())[1]

    @property
    def pid(self):
        return self._process.pid

    def start(self, *words, develop=True):
        command = [sys.executable, *(("-X", "dev") if develop else ()), "-m", "sharpedge.cli",
                   "dashboard", "--config", str(self.config), *words]  # fmt: skip
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=dict(os.environ), stdout=log, stderr=subprocess.STDOUT
            )
        until(lambda: "broker: connected" in self.log.read_text(), 60)
        until(self._listens, 60)
        return self

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self):
        self._process.terminate()
        return self._process.wait(30)

    def kill(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def picture(seed=1):
    """A JPEG of 300 x 400 pixels that says where the film lies in it."""
    pixels = np.random.default_rng(seed).integers(0, 90, (400, 300), np.uint8)
    pixels[60:380, 90:210] += 120
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    return data[:2] + b"\xff\xfe" + (len(PLACED) + 2).to_bytes(2, "big") + PLACED + data[2:]


def room(port, name="xray1"):
    """A simulated room whose films have grades and a picture."""

    def score(film, supersedes):
        made = film.result(random.Random(film.sequence))
        return made.model_copy(update={"supersedes": supersedes}), picture(film.sequence)

    return SimulatedRoom(DeviceName("clinic", name, "box1"), port, score)


def browser(width=1280, height=1000):
    """Chromium without a screen. Raises `WebDriverException` where it does not start."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 f"--window-size={width},{height}", "--disable-background-networking"):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def text_of(driver):
    with contextlib.suppress(StaleElementReferenceException, WebDriverException):
        return driver.find_element(By.TAG_NAME, "body").text
    return ""


def fill(driver, **fields):
    """Fill a form by the ids of its fields, and send it by its main button."""
    for name, value in fields.items():
        element = driver.find_element(By.ID, name)
        if element.tag_name == "select":
            element.send_keys(value)
        else:
            element.clear()
            element.send_keys(value)
    driver.find_element(By.CSS_SELECTOR, "main .primary").click()


def sign_in(driver, url, name, password):
    until(lambda: _opens(driver, f"{url}sign-in"), 60)
    fill(driver, name=name, password=password)
    until(lambda: "sign out" in text_of(driver))


def _opens(driver, url):
    with contextlib.suppress(WebDriverException):
        driver.get(url)
        return driver.find_elements(By.ID, "password")
    return False


def press(driver, selector):
    """Press a button or follow a link, once it is there; an open page may replace it meanwhile."""

    def pressed():
        with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
            driver.find_element(By.CSS_SELECTOR, selector).click()
            return True
        return False

    until(pressed)


def now_s():
    return time.time()
