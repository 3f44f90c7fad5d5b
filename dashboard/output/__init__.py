"""What leaves the dashboard as a file: tables, PDF, corrections as a data set, backups.

Layer: dashboard; reads the store.
"""
