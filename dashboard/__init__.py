"""The clinic's dashboard: stores what appliances publish and shows it to those who read films.

Layer: dashboard; a subscriber like any other, which imports `edge.contract` and nothing else of
the appliance.
"""
