from fixtures import broker, make_appliance, make_box, make_broker, subscriber

__all__ = ["broker", "make_appliance", "make_box", "make_broker", "subscriber"]
