"""What `alerts:` may say, and what is told of what it may not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import CredentialSource, Settings
from farthing.errors import ConfigError
from farthing.types.alerts import FACT_KINDS

Load = Callable[[str], Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Settings:
        file = tmp_path / "settings.yaml"
        file.write_text(f"version: 1\nalerts:\n{text}", "utf-8")
        return load_settings(file, known={}, environment={"URL": "https://t0k3n.example", "PASSWORD": "p"})

    return load


def test_channels_are_read_in_order_with_their_defaults(load: Load) -> None:
    alerts = load(
        """  quiet_s: 60
  channels:
    ops: {kind: webhook, url: env:URL, secret: file:/etc/farthing/sign, facts: threshold}
    team: {kind: slack, url: env:URL, facts: [unusual, errors]}
    me: {kind: email, host: mail.example.com, sender: f@example.com, to: [a@example.com, b@example.com]}
    phone: {kind: apprise, url: env:URL}
"""
    ).alerts
    ops, team, me, phone = alerts.channels
    assert alerts.quiet_s == 60
    assert (ops.url, ops.secret) == (CredentialSource("env", "URL"), CredentialSource("file", "/etc/farthing/sign"))
    assert (ops.facts, team.facts, phone.facts) == (("threshold",), ("unusual", "errors"), FACT_KINDS)
    assert (me.port, me.security, me.to) == (587, "starttls", ("a@example.com", "b@example.com"))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("Ops: {kind: webhook, url: env:URL}", "'Ops' is not a name"),
        ("ops: webhook", "must be a mapping"),
        ("ops: {url: env:URL}", "a channel needs kind"),
        ("ops: {kind: pager, url: env:URL}", "'pager' is not allowed"),
        ("ops: {kind: webhook}", "the kind webhook needs url"),
        ("ops: {kind: slack, url: 'https://hooks.example/t0k3n'}", "is not written into this file (not shown here)"),
        (
            "ops: {kind: slack, url: 'https://hooks.example/t0k3n'}",
            "write env:NAME, or into a file and write file:/path.",
        ),
        ("ops: {kind: slack, url: vault}", "'vault' is for providers' keys; write env:NAME or file:/path."),
        ("ops: {kind: slack, url: vault:slack}", "'vault:slack' is for providers' keys"),
        ("ops: {kind: webhook, url: env:URL, secret: none}", "'none' is for providers' keys"),
        ("ops: {kind: slack, url: 'vault:a b'}", "after vault: comes a name"),
        ("ops: {kind: slack, url: env:URL, secret: env:URL}", "is not for the kind slack"),
        ("ops: {kind: webhook, url: env:URL, to: a@example.com}", "is not for the kind webhook"),
        ("ops: {kind: webhook, url: env:URL, facts: [thresholds]}", "did you mean 'threshold'"),
        ("ops: {kind: webhook, url: env:URL, facts: []}", "has 0 entries"),
        ("ops: {kind: webhook, url: env:URL, channel: x}", "is not a setting"),
        ("ops: {kind: email, host: h, to: a@example.com}", "missing: sender"),
        ("ops: {kind: email, host: 'a b', sender: f@e.com, to: a@e.com}", "is no address or host name"),
        ("ops: {kind: email, host: h, sender: nobody, to: a@e.com}", "'nobody' is no address"),
        ("ops: {kind: email, host: h, sender: f@e.com, to: a@e.com, security: none}", "everybody on the way"),
        ("ops: {kind: email, host: h, sender: f@e.com, to: a@e.com, user: me}", "user and password go together"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_no_secret(row: str, told: str, load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"  channels:\n    {row}\n")
    assert told.lower() in caught.value.message.lower()
    assert ":4: " in caught.value.message
    assert "t0k3n" not in caught.value.message


def test_a_variable_that_is_not_set_is_warned_of(load: Load) -> None:
    settings = load("  channels:\n    ops: {kind: webhook, url: env:NOT_SET}\n")
    assert "alerts wait" in " ".join(settings.warnings)


def test_a_server_on_this_machine_may_go_without_tls(load: Load) -> None:
    row = "me: {kind: email, host: 127.0.0.1, port: 25, security: none, sender: f@e.com, to: a@e.com}"
    assert load(f"  channels:\n    {row}\n").alerts.channels[0].port == 25


CHANNELS = "  channels:\n    ops: {kind: webhook, url: env:URL}\n    team: {kind: slack, url: env:URL}\n"


def test_reports_are_read_with_their_defaults(load: Load) -> None:
    daily, core = load(
        f"""{CHANNELS}  reports:
    daily: {{period: day, at: 7:30, time_zone: Europe/Berlin, channels: ops}}
    Core team: {{period: month, channels: [team, ops, team], team: core, project: site, local_target: 30}}
"""
    ).alerts.reports
    assert (daily.at, daily.time_zone, daily.channels, daily.team) == ("7:30", "Europe/Berlin", ("ops",), None)
    assert (core.name, core.at, core.channels, core.local_target) == ("Core team", "08:00", ("team", "ops"), 30)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("'?': {period: day, channels: ops}", "'?' is not a name"),
        ("daily: day", "must be a mapping, such as {period: week, channels: [ops]}"),
        ("daily: {period: day}", "a report needs period and channels; missing: channels"),
        ("daily: {channels: ops}", "missing: period"),
        ("daily: {period: hour, channels: ops}", "'hour' is not allowed; one of: day, week, month"),
        ("daily: {period: day, channels: []}", "name the channels that it is sent to"),
        ("daily: {period: day, channels: [opps]}", "'opps' is no channel (did you mean 'ops'?); there are: ops, team"),
        ("daily: {period: day, channels: ops, at: 24:00}", "'24:00' is no hour; as 08:00 or 17:30"),
        ("daily: {period: day, channels: ops, at: eight}", "'eight' is no hour"),
        ("daily: {period: day, channels: ops, time_zone: Berlin}", "'Berlin' is no time zone this machine knows"),
        ("daily: {period: day, channels: ops, local_target: 101}", "from 1 up to 100"),
        ("daily: {period: day, channels: ops, to: me}", "to: is not a setting"),
    ],
)
def test_what_is_wrong_with_a_report_is_told_with_its_line(row: str, told: str, load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{CHANNELS}  reports:\n    {row}\n")
    assert told in caught.value.message
    assert ":7: " in caught.value.message
