"""The pages: server-rendered, live by server-sent events, each URL with the role it needs.

Layer: dashboard; Starlette and Jinja2 over the store.
"""
