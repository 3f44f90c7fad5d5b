"""Outputs: turns a film's outcome into outbox rows, studies and MQTT packets.

Layer: outputs; one module for each kind of output, listed in `edge.outputs.table`.
"""
