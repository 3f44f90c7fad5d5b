from fixtures import broker, make_appliance, subscriber

__all__ = ["broker", "make_appliance", "subscriber"]
