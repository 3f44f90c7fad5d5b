"""Kinds and destinations of outbox rows that the journal itself uses.

Layer: journal; constants. `edge.outputs.table` lists all kinds.
"""

RESULT = "result"
REJECT = "reject"
IMAGE = "image"
LIMB_MESSAGES = (RESULT, REJECT)
"""Kinds that carry a limb's outcome: each limb has one such row, with a sequence number."""
MQTT = "mqtt"
"""Destination of a row that is published to the broker."""
DICOM_SR = "dicom_sr"
DICOM_SC = "dicom_sc"
PACS = "pacs"
"""Destination of a row whose document is sent to the PACS."""
