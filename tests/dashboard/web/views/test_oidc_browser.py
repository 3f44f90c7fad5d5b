"""Sign-in by OpenID Connect in a real browser: policy for content, cookies, keyboard."""

from __future__ import annotations

import pytest
from appliance import until
from oidc_clinic import oidc_settings
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from served import Served, fill, press, text_of

PASSWORD = "correct horse battery"  # noqa: S105 - of this test


@pytest.fixture
def served(broker, tmp_path, sso):
    oidc = oidc_settings(tmp_path, sso.issuer.replace("127.0.0.1", "localhost"))
    sso.issuer = oidc.issuer
    it = Served(
        tmp_path, broker.port,
        f"[oidc]\nissuer = '{oidc.issuer}'\nclient_id = '{oidc.client_id}'\nonly = true\n"
        f"client_secret_file = '{oidc.client_secret_file}'\nlabel = 'Clinic SSO'\n"
        "roles = { readers = 'reader' }\n",
    ).start()  # fmt: skip
    yield it
    it.kill()
    assert "Traceback" not in it.log.read_text()


def test_a_person_signs_in_and_out_by_keyboard_on_another_site(driver, served, sso):
    driver.get(f"{served.url}setup")
    fill(driver, token=served.token, name="Root", password=PASSWORD)
    until(lambda: driver.current_url.endswith("/sign-in"))
    # The button has the focus: one key begins.
    assert driver.switch_to.active_element.get_attribute("id") == "oidc"
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    # localhost is another site than 127.0.0.1, so that strict cookies stay away.
    until(lambda: driver.current_url.startswith(f"{sso.issuer}/authorize"))
    driver.find_element(By.ID, "log-in").send_keys(Keys.ENTER)
    until(lambda: "sign out" in text_of(driver))
    assert driver.current_url == served.url
    assert "Anna Roth" in text_of(driver)
    driver.get(f"{served.url}devices")
    assert "sign out" in text_of(driver)
    press(driver, "form[action='/sign-out'] button")
    until(lambda: "Signed out" in text_of(driver))
    press(driver, "#out")
    until(lambda: driver.current_url.startswith(f"{sso.issuer}/log-out"))
    driver.get(served.url)
    until(lambda: driver.current_url.endswith("/sign-in"))
