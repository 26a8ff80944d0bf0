"""Everything that is wrong with one settings file, gathered so that the operator mends it in one go.

Each problem is one line that an editor can jump to: `/home/me/settings.yaml:4: providers.lab.base_url: ...`.
"""

import difflib
from collections.abc import Iterable

from farthing.errors import ConfigError

CHECK_AGAIN = '"farthing config check" reads the file again and starts nothing.'
_SHOWN = 50
"""A file with more mistakes than this is not a settings file; the rest would only hide the first."""


class Problems:
    """Collects errors and warnings about one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.version: int | None = None
        """The version that the file was brought to before it was read; the lines are that one's then."""
        self._errors: list[tuple[int, str]] = []
        self._warnings: list[str] = []

    def error(self, line: int, path: str, message: str) -> None:
        """Note that what stands at `path` cannot be used; `message` holds the value and the way out."""
        self._errors.append((line, f"{self.file}:{line}: {path}{': ' if path else ''}{message}"))

    def warning(self, line: int | None, path: str, message: str) -> None:
        """Note something that works and is probably not meant; `line` is `None` when no file says it."""
        place = f"{self.file}:{line}: " if line is not None else ""
        self._warnings.append(f"{place}{path}: {message}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings, in the order they were found."""
        return tuple(self._warnings)

    def raise_if_any(self) -> None:
        """Raise one error that holds all of them, top of the file first.

        Raises:
            ConfigError: there was at least one.
        """
        if not self._errors:
            return
        lines = [text for _, text in sorted(self._errors, key=lambda found: found[0])]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f"{self.file}: and {len(lines) - _SHOWN} more"]
        if self.version is not None:
            lines.append(f"(The file is of an older version; the lines are those after the change to {self.version}.)")
        raise ConfigError("\n".join(lines), hint=CHECK_AGAIN)


def quoted(value: str) -> str:
    """Return the value in quotes, unprintable characters escaped, cut where it would fill the screen."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


def nearest(value: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or nothing where none is close."""
    found = difflib.get_close_matches(value, list(known), n=1, cutoff=0.65)
    return f" (did you mean {found[0]!r}?)" if found else ""


def listed(values: Iterable[str]) -> str:
    """Return the names for the end of a sentence: `a, b, c`, or `none`."""
    return ", ".join(values) or "none"
