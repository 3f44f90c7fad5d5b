"""sharpedge on the box: from a radiograph in a folder to scores on MQTT.

Research use only, not a medical device.
"""

__version__ = "0.1.0"
