"""The local page: a technician's view of the appliance and the decisions about held films.

Layer: sharpedge; a process of its own that asks the appliance at its operator socket, and knows no
journal, no configuration and no device key.
"""
