"""Verification: tests an imported graph before it becomes an engine."""
