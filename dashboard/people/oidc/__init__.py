"""Sign-in by OpenID Connect: the provider, what it says of a person, and the person's account.

Layer: dashboard; asks the provider over HTTPS, reads and writes the store.
"""
