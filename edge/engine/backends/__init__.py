"""Back ends: one module for each library that runs an engine.

Layer: engine; no code of its own. `edge.engine.backend_table` has a row for each back end, and
the loader imports a module when one of its engines is loaded.
"""
