"""From MQTT to the database: what arrives is parsed, stored, and only then answered.

Layer: dashboard; a client of the broker and writer of the store.
"""
