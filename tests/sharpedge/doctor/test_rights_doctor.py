import threading

from doctor_box import box_in, fault, faults

from edge.delivery.settings import Protocol
from sharpedge.doctor.rights import check_name, check_rights

ACL = """user box1
pattern readwrite sharpedge/+/+/%u/state
pattern write sharpedge/+/+/%u/result
pattern write sharpedge/+/+/%u/reject
pattern write sharpedge/+/+/%u/study/+
pattern write sharpedge/+/+/%u/health
pattern write sharpedge/+/+/%u/answer
"""


def rights(tmp_path, port, protocol=Protocol.V5, **broker):
    it = box_in(tmp_path, broker={"port": port, "connect_s": 3, **broker}, site={"device": "box1"})
    return list(check_rights(it, "sharpedge-test", protocol))


def test_a_broker_with_a_dashboard_has_no_fault(tmp_path, broker, subscriber):
    assert faults(rights(tmp_path, broker.port)) == []
    # Empty messages are passed over: nothing that a dashboard would store.
    assert [it for it in subscriber.messages if it.message is not None or it.fault] == []


def test_nobody_who_subscribes_to_results_is_found(tmp_path, broker):
    it = fault(rights(tmp_path, broker.port), "dashboard, subscribed")
    assert "sharpedge listen --receipt" in it.fix


def test_a_topic_that_the_access_list_lacks_is_found(tmp_path, make_broker):
    (tmp_path / "acl").write_text(ACL)
    strict = make_broker(f"acl_file {tmp_path / 'acl'}\n")
    it = fault(rights(tmp_path, strict.port, username="box1"), "broker, rights")
    assert "image" in it.what
    assert "result" not in it.what


def test_a_whole_access_list_has_no_fault_of_rights(tmp_path, make_broker):
    (tmp_path / "acl").write_text(ACL + "pattern write sharpedge/+/+/%u/image\n")
    strict = make_broker(f"acl_file {tmp_path / 'acl'}\n")
    found = rights(tmp_path, strict.port, username="box1")
    assert "broker, rights" not in [check for check, *_ in faults(found)]


def test_a_broker_that_queues_nothing_is_found(tmp_path, make_broker):
    # With a size of one byte Mosquitto keeps the session and drops its messages.
    strict = make_broker("max_queued_messages 1\nmax_queued_bytes 1\n")
    found = [it for it in rights(tmp_path, strict.port) if it.check == "broker, sessions"]
    assert [it.level for it in found] in (["warning"], ["ok"])


def test_what_a_broker_of_3_1_1_refuses_cannot_be_found_out(tmp_path, broker):
    found = rights(tmp_path, broker.port, Protocol.V311)
    assert [it.level for it in found if it.check == "broker, rights"] == ["skipped"]
    assert [it.level for it in found if it.check == "broker, sessions"] == ["ok"]


def test_an_experiment_leaves_the_running_appliance_connected(tmp_path, broker):
    from sharpedge.doctor.client import Probe

    gone = threading.Event()
    settings = box_in(tmp_path, broker={"port": broker.port}).config.broker
    with Probe(settings, "sharpedge-test", v5=True) as running:
        running._client.on_disconnect = lambda *_: gone.set()
        rights(tmp_path, broker.port)
        assert not gone.wait(0.2)


def test_a_second_box_under_our_name_is_found(tmp_path, broker, make_appliance):
    """The clone runs elsewhere: its state folder is another one."""
    make_appliance(broker.port).start()
    site = {"name": "clinic", "room": "xr1", "device": "box1"}
    (tmp_path / "clone").mkdir()
    ours = box_in(tmp_path / "clone", broker={"port": broker.port, "connect_s": 3}, site=site)
    it = fault(check_name(ours, "sharpedge-test", Protocol.V5), "broker, our name")
    assert "another box" in it.what
    running = box_in(tmp_path, broker={"port": broker.port, "connect_s": 3}, site=site)
    assert faults(check_name(running, "sharpedge-test", Protocol.V5)) == []


def test_a_name_that_nobody_uses_has_no_fault(tmp_path, broker):
    it = box_in(tmp_path, broker={"port": broker.port, "connect_s": 1})
    assert faults(check_name(it, "sharpedge-test", Protocol.V5)) == []
