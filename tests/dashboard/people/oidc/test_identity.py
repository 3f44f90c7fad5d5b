"""Who somebody is, as claims say: hostile ones name nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oidc_clinic import ROLES

from dashboard.people.accounts import person_name
from dashboard.people.oidc.errors import SignInError
from dashboard.people.oidc.identity import identity_of
from dashboard.settings import OidcSettings

SETTINGS = OidcSettings(
    issuer="https://sso.clinic", client_id="d", client_secret_file=Path("s"), roles=ROLES
)
CLAIMS = {"iss": "https://sso.clinic", "sub": "s-1", "name": "Anna Roth", "groups": ["readers"]}


def role_of(path, **claims):
    settings = SETTINGS.model_copy(update={"roles_claim": path})
    return identity_of({**CLAIMS, "groups": None, **claims}, settings).role


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["readers"], "reader"), ("deciders", "operator"), (["readers", "deciders"], "operator"),
     (["it", "readers", "x"], "admin"), (["Readers"], None), (["reader"], None), ([], None),
     (None, None), (7, None), ({"readers": 1}, None), ([["readers"]], None), ([None, 1], None),
     ("readers deciders", None)],
)  # fmt: skip
def test_a_value_gives_its_role_the_widest_of_several_and_others_give_none(groups, role):
    assert role_of("groups", groups=groups) == role


def test_dots_lead_into_objects_unless_a_claim_has_the_whole_name():
    assert role_of("realm_access.roles", realm_access={"roles": ["it"]}) == "admin"
    assert role_of("https://x.example/roles", **{"https://x.example/roles": ["it"]}) == "admin"
    for wrong in ({"roles": {}}, [], "roles", None):
        assert role_of("realm_access.roles", realm_access=wrong) is None


def test_names_that_look_the_same_are_one_name():
    wanted = "Ren\u00e9 Roth"
    for name in (
        "Rene\u0301 Roth",
        "Ren\u00e9\u034f Roth",
        "Ren\u00e9\u3164Roth",
        "Ren\u00e9\u3164 \u200bRoth",
        "\uff32en\u00e9\u00a0Roth\ufe0f",
    ):
        assert identity_of({**CLAIMS, "name": name}, SETTINGS).name == wanted


@pytest.mark.parametrize("subject", [None, "", 7, ["s"], "x" * 256, "a\x00b"])
def test_a_subject_that_is_no_key_is_refused(subject):
    with pytest.raises(SignInError, match=r"claim sub.*fix:") as error:
        identity_of({**CLAIMS, "sub": subject}, SETTINGS)
    assert error.value.code == 403


@pytest.mark.parametrize("name", [None, 7, ["Anna"], {"a": 1}, "", " \n", '"\\"', "\u202e\x00"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(SignInError, match=r"claim name.*fix:"):
        identity_of({**CLAIMS, "name": name}, SETTINGS)


@settings(max_examples=40)
@given(st.text(max_size=70))
def test_a_name_is_one_that_a_devices_journal_takes(text):
    try:
        name = identity_of({**CLAIMS, "name": text}, SETTINGS).name
    except SignInError:
        return
    # A number may follow.
    assert person_name(f"{name} (999)") == f"{name} (999)"
    assert name.isprintable()
