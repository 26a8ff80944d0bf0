"""Whose something is: a team, which is one of an organisation."""

import msgspec

DEFAULT_ORGANISATION = "default"
"""Of keys and tokens of which nobody said more."""


class Tenant(msgspec.Struct, frozen=True, gc=False):
    """A team of an organisation: two organisations may each have a team of the same name."""

    organisation: str
    team: str

    def __str__(self) -> str:
        """Return it in words; the organisation of whoever has only one goes unsaid."""
        words = f"team {self.team!r}"
        return words if self.organisation == DEFAULT_ORGANISATION else f"{words} of {self.organisation!r}"


def tenant_of(organisation: str | None, team: str | None) -> Tenant | None:
    """Return the team that is named; `None` is the house's, where none is."""
    return None if team is None else Tenant(organisation or DEFAULT_ORGANISATION, team)
