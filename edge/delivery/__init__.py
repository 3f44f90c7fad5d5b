"""Delivery: journal, outbox, MQTT.

This room knows no images and never opens the scanner's folder.
"""
