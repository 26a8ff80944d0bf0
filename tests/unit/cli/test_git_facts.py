import os
import subprocess
from pathlib import Path

import pytest

from farthing.cli.git_facts import Facts, facts_of


def git(folder: Path, *arguments: str) -> None:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **who})


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "greet")
    return folder


def test_outside_of_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert facts_of(tmp_path, {}) == Facts()


def test_the_repositorys_folder_is_the_project_below_it_too(site: Path) -> None:
    below = site / "src"
    below.mkdir()
    assert facts_of(site, {}) == Facts("site", "greet", None)  # before the first commit
    assert facts_of(below, {}) == Facts("site", "greet", None)


def test_a_worktree_is_of_the_same_project(site: Path, tmp_path: Path) -> None:
    git(site, "commit", "-q", "--allow-empty", "-m", "x")
    git(site, "worktree", "add", "-q", "-b", "fix", str(tmp_path / "fix-tree"))
    assert facts_of(tmp_path / "fix-tree", {}) == Facts("site", "fix", None)


def test_what_the_branchs_settings_know_of_a_pull_request(site: Path) -> None:
    git(site, "config", "branch.greet.merge", "refs/heads/greet")
    assert facts_of(site, {}).pull_request is None
    git(site, "config", "branch.greet.merge", "refs/pull/17/head")
    assert facts_of(site, {}).pull_request == "17"
    git(site, "config", "branch.greet.github-pr-owner-number", "acme#site#12")
    assert facts_of(site, {}).pull_request == "12"


@pytest.mark.parametrize(
    ("environment", "pull_request"),
    [
        ({"GITHUB_REF": "refs/pull/9/merge"}, "9"),
        ({"GITHUB_REF": "refs/heads/main"}, None),
        ({"PULL_REQUEST": "4"}, "4"),
        ({"CI_MERGE_REQUEST_IID": "8"}, "8"),
        ({"PULL_REQUEST": "../../etc"}, None),
    ],
)
def test_what_a_ci_says(site: Path, environment: dict[str, str], pull_request: str | None) -> None:
    git(site, "commit", "-q", "--allow-empty", "-m", "x")
    git(site, "checkout", "-q", "--detach")
    assert facts_of(site, {**environment, "GITHUB_HEAD_REF": "greet"}) == Facts("site", "greet", pull_request)
