"""The pages, a module for each part; `dashboard.web.routes` names them.

Layer: dashboard; each view takes an `Asked` and gives a response.
"""
