"""Outputs: what one film's outcome becomes: journal rows, messages, pictures, studies.

Layer: above the journal; opens no connection.
"""
