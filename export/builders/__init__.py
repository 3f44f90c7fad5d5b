"""Builders: from an exported graph to an engine of this device."""
