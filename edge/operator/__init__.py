"""What operators ask of a running appliance on its own machine: a Unix socket and what it tells.

Layer: operator; below the daemon, which serves the socket; above journal and outputs.
"""
