"""The HTTP door: what stands between a socket and one call of the gateway.

`protocol` turns bytes into bounded requests, `app` sends each to a face or a page, `faces` speak each client's own
dialect, `live` runs it all until a signal. HTTP knowledge stays in this room.
"""
