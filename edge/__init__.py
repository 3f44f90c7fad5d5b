"""sharpedge on the box: from a radiograph in a folder to scores on MQTT.

Research use only, not a medical device.
"""

import os

__version__ = "0.2.0"

# ONNX Runtime's wheels send telemetry unless this is set before they are imported. Forced: this
# software speaks to nobody but the broker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
