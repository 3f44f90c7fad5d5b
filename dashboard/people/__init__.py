"""Who may do what: accounts, roles, sessions, the pace of sign-ins, the audit log.

Layer: dashboard; reads and writes the store.
"""
