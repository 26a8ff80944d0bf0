"""Shell completion: the scripts are made without the shell, and a real bash completes with its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root

SETTINGS = """\
log: {access: true}
providers:
  groq: {credential: none}
  lab: {kind: openai-compatible, base_url: http://127.0.0.1:8000/v1}
models: {fast: "lab:m"}
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_asks_farthing(shell: str) -> None:
    told = CliRunner().invoke(root, ["completion", shell])
    assert told.exit_code == 0
    assert f"_FARTHING_COMPLETE={shell}_complete" in told.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["farthing", "co"], ["config", "completion", "costs"]),
        (["farthing", "keys", "re"], ["rename", "revoke"]),
        (["farthing", "costs", "--by", "pro"], ["project", "provider"]),
        (["farthing", "completion", ""], ["bash", "fish", "zsh"]),
        (["farthing", "providers", "test", ""], ["groq", "lab"]),
        (["farthing", "providers", "add", "own", "--kind", "open"], ["openai", "openai-compatible", "openrouter"]),
        (["farthing", "keys", "revoke", "lap"], ["laptop"]),
        (["farthing", "config", "set", "server.pu"], ["server.public_url"]),
        (["farthing", "config", "set", "models."], ["models.fast"]),
        (["farthing", "config", "set", "log.level", ""], ["debug", "error", "info", "warning"]),
        (["farthing", "config", "unset", "lo"], ["log.access"]),
    ],
)
def test_a_real_bash_completes(tmp_path: Path, words: list[str], completed: list[str]) -> None:
    home = tmp_path / "home"
    CliRunner().invoke(root, ["--home", str(home), "keys", "create", "laptop"])
    (home / "settings.yaml").write_text(SETTINGS)
    program = tmp_path / "farthing"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m farthing "$@"\n')
    program.chmod(0o755)
    line = " ".join(f"'{word}'" for word in words)
    script = f"""
        source <(farthing completion bash) || exit 3
        complete -p farthing >/dev/null || exit 4
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
        _farthing_completion farthing
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        env={
            "FARTHING_HOME": str(home),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert sorted(ran.stdout.split()) == sorted(completed)
