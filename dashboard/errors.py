"""The error that ends the dashboard with a message for a person.

Layer: dashboard; imports nothing of ours.
"""

from __future__ import annotations


class DashboardError(Exception):
    """The dashboard cannot go on; the message names the thing, the cause and the fix."""
