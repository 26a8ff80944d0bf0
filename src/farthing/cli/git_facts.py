"""What an agent works on: project, branch and pull request, asked of git and of what a CI sets, never of the network.

The project is the folder that holds the repository, so that every worktree of one repository is one project.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

_TIMEOUT_S = 3.0
"""git answers in milliseconds; on a network drive that hangs the agent must start all the same."""

_PULL_REF = re.compile(r"refs/(?:pull|merge-requests)/([0-9]+)/")
_IN_ENVIRONMENT = (
    "PULL_REQUEST",
    "PULL_REQUEST_NUMBER",
    "CI_MERGE_REQUEST_IID",
    "BITBUCKET_PR_ID",
    "CHANGE_ID",
)
"""What CIs call the number: our own suggestion first, then GitLab's, Bitbucket's, Jenkins'."""


class Facts(msgspec.Struct, frozen=True):
    """What is known; `None` is unknown."""

    project: str | None = None
    branch: str | None = None
    pull_request: str | None = None


def facts_of(folder: Path, environment: Mapping[str, str]) -> Facts:
    """Return what git and the environment tell of a folder."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top:
        return Facts(None, environment.get("GITHUB_HEAD_REF") or None, _from_environment(environment))
    common = _git(folder, "rev-parse", "--git-common-dir")
    shared = (folder / common).resolve() if common else None
    project = shared.parent.name if shared is not None and shared.name == ".git" else Path(top).name
    branch = _git(folder, "symbolic-ref", "--short", "-q", "HEAD") or environment.get("GITHUB_HEAD_REF")
    return Facts(project, branch or None, _from_environment(environment) or _from_branch(folder, branch))


def _from_environment(environment: Mapping[str, str]) -> str | None:
    found = _PULL_REF.match(environment.get("GITHUB_REF", ""))
    if found is not None:
        return found[1]
    told = (environment.get(name, "") for name in _IN_ENVIRONMENT)
    return next((value for value in told if value.isascii() and value.isdigit()), None)


def _from_branch(folder: Path, branch: str | None) -> str | None:
    """Return what GitHub's editor extension (owner#repository#12) or `gh pr checkout` left in the branch's settings."""
    if not branch:
        return None
    noted = _git(folder, "config", "--get", f"branch.{branch}.github-pr-owner-number")
    number = (noted or "").rpartition("#")[2]
    if number.isascii() and number.isdigit():
        return number
    found = _PULL_REF.match(f"{_git(folder, 'config', '--get', f'branch.{branch}.merge') or ''}/")
    return None if found is None else found[1]


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        ran = subprocess.run(  # noqa: S603 - git, with arguments of our own
            [git, *arguments], cwd=folder, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.decode("utf-8", "replace").strip() if ran.returncode == 0 else None
