"""The appliance: its loop, housekeeping, restarts, alerts, audit and repair.

Layer: top of `edge`; wires intake, worker, journal and delivery.
"""
