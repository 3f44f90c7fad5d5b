"""The MQTT contract: payload models and their schemas, topics, result ids, pseudonyms.

Layer: above the vocabulary and `edge.system`; a dashboard imports this package alone.
"""
