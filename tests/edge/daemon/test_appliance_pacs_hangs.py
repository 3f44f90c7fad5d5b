"""A PACS that accepts and never answers: told in the status, and nothing else waits for it."""

from __future__ import annotations

from appliance import free_port, until
from documenting import dicom_film
from pacs_peers import Pacs, bare_peer


def silent(connection):
    while connection.recv(65536):
        pass


def test_a_pacs_that_never_answers_is_told_by_name_and_costs_neither_scores_nor_mqtt(
    broker, subscriber, make_appliance
):
    port = free_port()
    section = (
        f'[pacs]\nenabled = true\nport = {port}\ncalled_ae_title = "TESTPACS"\nretry_s = 0.2\n'
        "longest_retry_s = 0.5\nconnect_s = 0.5\nanswer_s = 0.5\ncommitment_s = 5\n"
    )
    it = make_appliance(broker.port, factory="documenting:build", extra=section)

    def alerts():
        return {one.code: one.detail for one in subscriber.of("state")[-1].alerts}

    with bare_peer(silent, port):
        it.start()
        it.put("1.dcm", dicom_film("limb=LH"))
        until(lambda: "pacs" in alerts(), 40)
        assert alerts()["pacs"].startswith(f"TESTPACS at 127.0.0.1:{port}: silent: ")
        assert "; fix: " in alerts()["pacs"]
        it.put("2.dcm", dicom_film("limb=RF"))
        subscriber.wait("result", 2)
        assert "TESTPACS" in it.order("status").stdout
    pacs = Pacs(port=port)
    try:
        until(lambda: len(pacs.stored) == 4 and "pacs" not in alerts(), 40)
        until(lambda: set(it.states().values()) == {"acked"})
        assert it.terminate() == 0
    finally:
        pacs.stop()
