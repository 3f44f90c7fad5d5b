"""Delivery: sends the outbox over MQTT, and reads receipts and commands.

Layer: delivery; uses the broker, the journal and the folder of pictures. It decodes no images and
never opens the scanner's folder.
"""
