"""How can we, and you, try the gateway without an account, a network or money? Public; the product never imports it.

`fake_provider` speaks the providers' wire formats and keeps account of what it would bill; `demo` shows the whole.
"""
