"""The bill of materials: what Farthing is installed with, from the lock files, as CycloneDX 1.6.

    python tools/sbom.py --check               says whether every requirement is pinned and has hashes
    python tools/sbom.py --list                name, version and licence of each, for people
    python tools/sbom.py > farthing.cdx.json   the bill

Nothing is asked of a network: names, versions and hashes stand in the lock, licences in the metadata of what is
installed beside this script. A package that is locked for another system has no licence here, and that is said. The
same lock gives the same bytes: its serial number is made of its content, and it has no date unless SOURCE_DATE_EPOCH
says one.
"""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from farthing import __version__

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([A-Za-z0-9][A-Za-z0-9.!+_-]*)(?:\s*;\s*(.+?))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CLASSIFIER = "License :: OSI Approved :: "
_NAMESPACE = uuid.UUID("6f4b6a54-7f0e-4f5c-9d5b-0d2a6f1c8e11")
"""Ours alone, drawn once: serial numbers are made of it and the bill's content."""


@dataclass(frozen=True)
class Locked:
    """One requirement of a lock file."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]


class NotLocked(Exception):
    """A requirement that is not pinned to one version and its hashes."""


def read_lock(text: str) -> list[Locked]:
    """Return the requirements of a lock file.

    Raises:
        NotLocked: naming the requirement that could be another one tomorrow.
    """
    joined = re.sub(r"\\\n", " ", text)
    return [_locked(line.strip()) for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _locked(line: str) -> Locked:
    requirement, *options = re.split(r"\s+(?=--)", line)
    pinned = _PINNED.fullmatch(requirement)
    if pinned is None:
        raise NotLocked(f"{requirement!r} is not pinned as name==version")
    if not options or not all(_HASH.fullmatch(option) for option in options):
        raise NotLocked(f"{requirement!r} has no sha256 hashes, or something else beside them")
    hashes = sorted(option.removeprefix("--hash=sha256:") for option in options)
    return Locked(_canonical(pinned[1]), pinned[2], pinned[3], tuple(hashes))


def licence_of(name: str) -> dict[str, Any] | None:
    """Return the licence that an installed package declares, as the bill names it.

    `None` where it is not installed here, or declares none. An expression is one of SPDX, anything else a name.
    """
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    for expression in told.get_all("License-Expression", []):
        return {"expression": expression}
    classified = [
        value.removeprefix(_CLASSIFIER) for value in told.get_all("Classifier", []) if value.startswith(_CLASSIFIER)
    ]
    texts = sorted(classified) or [line.strip() for line in told.get_all("License", []) if line.strip()]
    return {"license": {"name": " and ".join(texts)}} if texts else None


def bill(locked: list[Locked]) -> dict[str, Any]:
    """Return the bill of materials of a lock."""
    components = [_component(one) for one in sorted(locked, key=lambda one: (one.name, one.version))]
    refs = [component["bom-ref"] for component in components]
    own = {
        "type": "application",
        "bom-ref": "farthing",
        "name": "farthing",
        "version": __version__,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    about: dict[str, Any] = {"component": own}
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        about["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat().replace("+00:00", "Z")
    content = json.dumps([own, components], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "metadata": about,
        "components": components,
        # The lock tells what is installed, not who asked for it: all of it is told as ours.
        "dependencies": [{"ref": "farthing", "dependsOn": refs}, *({"ref": ref} for ref in refs)],
    }


def _component(one: Locked) -> dict[str, Any]:
    ref = f"pkg:pypi/{one.name}@{one.version}"
    licence = licence_of(one.name)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": ref,
        "name": one.name,
        "version": one.version,
        "purl": ref,
        "scope": "optional" if one.marker else "required",
        "licenses": [] if licence is None else [licence],
        # Each hash is of one file of this version, for one system; whichever is installed has one of them.
        "properties": [{"name": "farthing:sha256", "value": value} for value in one.hashes],
    }
    if one.marker:
        component["properties"].insert(0, {"name": "farthing:marker", "value": one.marker})
    return component


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _all_locks() -> Iterator[tuple[Path, list[Locked]]]:
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        try:
            yield path, read_lock(path.read_text(encoding="utf-8"))
        except NotLocked as error:
            sys.exit(f"{path.name}: {error}; run make lock")


def main() -> None:
    """Check, list, or print the bill of what is installed to run."""
    locks = dict(_all_locks())
    if "--check" in sys.argv:
        for path, locked in locks.items():
            print(f"{path.name}: {len(locked)} packages, each of one version, with hashes")
        return
    core = locks[REQUIREMENTS / "core.txt"]
    if "--list" in sys.argv:
        for one in core:
            licence = licence_of(one.name)
            unknown = "not installed on this system" if one.marker else "not declared"
            told = unknown if licence is None else licence.get("expression") or licence["license"]["name"]
            print(f"{one.name:<24}{one.version:<14}{told}")
        return
    print(json.dumps(bill(core), indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
