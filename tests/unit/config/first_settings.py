"""The first settings with every example in them switched on."""

from farthing.config.first_start import FIRST_SETTINGS

_PROSE = ("What is taken", "ca_file")
_SHOWN = ("  # ", "# find_local:", "# unpriced:")


def uncommented() -> str:
    bare = [line.replace("# ", "", 1) if line.startswith(_SHOWN) else line for line in FIRST_SETTINGS.splitlines()]
    text = ["" if line == "  #" else line for line in bare]
    return "\n".join(line for line in text if not line.lstrip().startswith(_PROSE))
