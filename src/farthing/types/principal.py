"""Who is calling."""

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """The owner of a verified client key; what a call is attributed to before the client says more."""

    key_id: str
    key_name: str
    organisation: str = "default"
    team: str | None = None
    project: str | None = None
    user: str | None = None
    session: str | None = None
    task: str | None = None
    branch: str | None = None
    pull_request: str | None = None
