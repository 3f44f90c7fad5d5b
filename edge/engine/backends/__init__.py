"""Back ends: one module for each library that runs an engine.

Layer: engine; each module imports its library, so that the loader imports it when it is needed.
"""
