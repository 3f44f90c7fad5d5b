"""The machine: files, clock, disk, device key, paths, systemd, terminal.

Layer: above the vocabulary; knows nothing of radiographs, journal or MQTT.
"""
