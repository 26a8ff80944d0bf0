"""Reads the Prometheus text format strictly, as its description has it: what we write must pass."""

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)?\}})? ([0-9.e+-]+|\+Inf|NaN)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}

Labels = frozenset[tuple[str, str]]


class Scrape:
    """The samples of one text, by name and labels."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.kinds: dict[str, str] = {}
        self.samples: dict[tuple[str, Labels], float] = {}
        family = ""
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                assert family not in self.kinds, f"{family} comes twice"
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name == family
                self.kinds[name] = kind
            else:
                found = _SAMPLE.fullmatch(line)
                assert found, line
                kind = self.kinds[family]
                assert found[1] in {family + suffix for suffix in _SUFFIXES[kind]}, line
                assert kind != "counter" or family.endswith("_total"), line
                labels = frozenset((name, _unescaped(value)) for name, value in re.findall(_LABEL, found[2] or ""))
                assert (found[1], labels) not in self.samples, f"{line} comes twice"
                self.samples[found[1], labels] = float(found[len(found.groups())])

    def value(self, sample: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels, and others beside them."""
        wanted = set(labels.items())
        found = [value for (name, told), value in self.samples.items() if name == sample and wanted <= told]
        assert found, f"no {sample} with {labels}"
        return sum(found)

    def label_values(self, label: str) -> set[str]:
        return {value for _, labels in self.samples for name, value in labels if name == label}


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)
