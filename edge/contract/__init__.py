"""The MQTT contract: payload models and their schemas, topics, result ids, pseudonyms.

Layer: contract; imports the vocabulary and `edge.system` only. A dashboard imports this package
alone.
"""
