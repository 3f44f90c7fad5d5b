from __future__ import annotations

import tarfile

from appliance import until
from stand_in import film_bytes

from sharpedge.support import bundle, contents

CANARY = "CANARY-Erika-Mustermann"


def test_a_bundle_holds_no_patient_no_pseudonym_and_no_key(make_appliance, broker, tmp_path):
    it = make_appliance(broker.port).start()
    (it.drop / f"{CANARY}-folder").mkdir()
    words = f"reason=side_not_known study={CANARY} patient={CANARY}"
    it.put(f"{CANARY}-LH.jpg", film_bytes(words))
    it.put(f"{CANARY}-RH.jpg", film_bytes(f"study={CANARY} patient={CANARY}"))
    (it.drop / f"{CANARY}-folder" / f"{CANARY}.jpg").write_bytes(b"x")
    (it.drop / f"{CANARY}-folder" / f"{CANARY}.jpg").chmod(0)
    until(lambda: {"held"} <= set(it.states().values()) and len(it.states()) > 1, what="films")
    text = it.config.read_text()
    secret = tmp_path / "password"
    secret.write_text("SECRET-of-the-broker")
    it.config.write_text(text.replace("[broker]", f'[broker]\npassword_file = "{secret}"'))
    assert bundle(it.config, tmp_path / "b.tar.gz") == 0
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        found = {name: tar.extractfile(name).read() for name in tar.getnames()}
    whole = b"\n".join([*found.values(), *(name.encode() for name in found)])
    assert CANARY.encode() not in whole
    assert b"Mustermann" not in whole
    assert b"SECRET" not in whole
    key = (it.state / "device.key").read_bytes()
    assert key not in whole
    assert key.hex().encode() not in whole
    pseudonyms = {part for name in ("result", "reject", "study") for part in _pseudonyms(it, name)}
    assert pseudonyms
    assert not [one for one in pseudonyms if one.encode() in whole]
    assert b'"held": 1' in found["sharpedge-support/journal.json"]
    assert b"research use only" in found["sharpedge-support/README.txt"].lower()


def _pseudonyms(it, kind):
    import json
    import sqlite3

    with sqlite3.connect(it.state / "journal.sqlite") as db:
        rows = db.execute("SELECT payload FROM outbox WHERE kind = ?", (kind,)).fetchall()
        studies = db.execute("SELECT study FROM study").fetchall()
    db.close()
    bodies = [json.loads(row[0]) for row in rows if row[0][:1] == b"{"]
    found = {body.get(key) for body in bodies for key in ("study", "patient")}
    return {one for one in found | {row[0] for row in studies} if one}


def test_a_wrong_configuration_still_gives_a_bundle(tmp_path):
    (tmp_path / "c.toml").write_text("[folders]\nwotch = 1\n")
    found = contents(tmp_path / "c.toml")
    assert "wotch" in found["configuration.txt"]
    assert "did you mean watch" in found["configuration.txt"]
    assert "sharpedge" in found["versions.txt"]
