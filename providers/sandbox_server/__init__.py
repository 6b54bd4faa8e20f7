"""The sandbox payment company: a process of its own, with its own store, that plays provider and carrier.

It shares no code with the platform it serves, so that the platform's client is tested against something
independent. `python -m providers.sandbox_server` runs it; `app.create_app` builds it for tests.

Bearer API key: everything under `/v1`. No key: the pay page, the start page with its forms and the carrier face
(`/carrier/…`), which a person or a demo drives; play money only, so never expose this process to the internet.
"""
