"""What the documentation shows is true: generated pages are current, settings load, commands and links exist."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from farthing.cli import root
from farthing.config.load import load_settings
from farthing.providers.registry import known_providers

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def test_the_reference_pages_are_what_the_code_says() -> None:
    check = [sys.executable, str(ROOT / "tools" / "write_reference.py"), "--check"]
    ran = subprocess.run(check, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_settings_file_that_is_shown_loads(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "yaml")):
        path = tmp_path / f"{number}.yaml"
        named = re.search(r"^providers:", text, re.MULTILINE) is not None
        lab = "" if named else "providers: {lab: {kind: openai, base_url: 'http://127.0.0.1:8000/v1', "
        lab += "" if not lab else "credential: none}, claude: {kind: anthropic, credential: env:KEY}}\n"
        path.write_text(lab + text, encoding="utf-8")
        environment = {"OPENAI_API_KEY": "sk", "KEY": "sk"}
        settings = load_settings(path, known=known_providers(), environment=environment)
        shared = any(provider.credentials for provider in settings.providers.values())
        plain = (settings.prices, settings.translation.features, settings.fixed_costs, settings.budgets)
        used = (*plain, settings.alerts.channels, shared)
        assert any(used) or settings.limits or settings.storage.redis or settings.routers


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_and_target_that_is_shown_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = set(root.list_commands(click.Context(root)))
    for name in re.findall(r"^    farthing ([a-z]+)", text, re.MULTILINE):
        assert name in commands, name
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE):
        assert name in targets, name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
