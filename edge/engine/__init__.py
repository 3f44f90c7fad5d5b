"""The engine room: the only one that knows what runs a network."""
