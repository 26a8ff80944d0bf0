"""Writes settings.yaml on the first start: everything that can be said, explained, and nothing decided yet.

What is written holds every default as a comment, so it means the same as no file at all; a test reads the commented
lines back and compares them with the schema, so that they cannot drift apart.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from farthing.config.home_files import write_whole
from farthing.config.load import refuse_link_to_nothing
from farthing.errors import ConfigError
from farthing.types.providers import KnownProvider


def write_first_settings(path: Path) -> bool:
    """Write the file if there is none, whole or not at all; return whether it was written.

    The caller holds the home's lock, so that two first starts do not write over each other. A link is the operator's,
    also where what it names is not there.

    Raises:
        ConfigError: the folder cannot be written, or there is a link that leads nowhere.
    """
    refuse_link_to_nothing(path)
    if path.exists():
        return False
    try:
        write_whole(path, FIRST_SETTINGS.encode())
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="choose another home with --home."
        ) from error
    return True


def write_schema(settings: Path, known: Mapping[str, KnownProvider]) -> bool:
    """Write the JSON Schema beside the settings, where their first line names it for editors; whether it was another.

    Raises:
        OSError: the folder cannot be written.
    """
    from farthing.config.json_schema import settings_schema  # noqa: PLC0415 (most starts have written it before)

    path, text = settings.with_name(SCHEMA_NAME), json.dumps(settings_schema(known), indent=1) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_whole(path, text.encode())
    return True


SCHEMA_NAME = "settings.schema.json"
"""What editors read; the first line of settings.yaml names it."""

FIRST_SETTINGS = """\
# yaml-language-server: $schema=settings.schema.json
# Farthing's settings. Yours to edit; Farthing changes this file only when a command of yours does.
# A running gateway takes up a change within two seconds, or says what is wrong with it and keeps what it had.
# "farthing config check" reads it and starts nothing; "farthing config set PATH VALUE" changes one setting.
# A line that begins with "#" is a comment; settings in comments show their defaults or examples.

version: 1

# Where Farthing listens. On an address beyond this machine, put a proxy with TLS before it.
server:
  host: 127.0.0.1
  port: 3000                      # 0 takes any free port
  # public_url: https://farthing.example.com   # how clients reach it, when not by host and port
  # behind_proxy: false           # true when a proxy with TLS stands before it
  #
  # What is taken from a client before it is refused.
  # max_header_bytes: 65536
  # max_headers: 200
  # header_timeout_s: 10
  # body_timeout_s: 60
  # write_timeout_s: 120          # a client that takes no byte for so long is gone
  # max_body_mb: 32
  # max_buffered_mb: 256          # all bodies and unsent answers together
  # keep_alive_s: 75
  # drain_s: 30                   # how long a stop waits for answers in flight
  # max_connections: 4096

# What is written to standard error while Farthing serves.
log:
  # format: text                  # or json: one object a line
  # level: warning                # debug, info, warning or error
  # access: false                 # true: a line for each try upstream, without any text of it

# Where ledger, keys and budgets are kept: a file here, or a PostgreSQL that several hosts share. Its URL holds a
# password and is not written here: env:NAME is an environment variable, file:/path a file that holds it.
# "farthing storage migrate" moves what there is.
storage:
  # url: env:FARTHING_DATABASE_URL
  # redis: env:REDIS_URL          # where several hosts share the windows of their limits

# A client of one format reaches providers of every other; what those cannot carry is refused where it would change
# what was asked, and otherwise told. docs/losses.md has the names of the single ones.
translation:
  # meaning: refuse               # or warn, pass
  # rest: warn
  # logprobs: warn                # a single one

# Whom Farthing calls. While nothing is named here, every known provider whose key is in the environment is used:
# OPENAI_API_KEY, ANTHROPIC_API_KEY, and so on; and an Ollama that answers on this machine when Farthing starts.
# As soon as one is named, only what is named is used: write "ollama:" for an Ollama then.
#
# A key is never written here. credential is env:NAME (an environment variable), file:/path (a file), vault or
# vault:NAME (sealed in the home, see "farthing credentials"), or none. Left out, the vault's are used where it has
# some, else the variable of its kind.
providers:
  # openai: {credential: env:OPENAI_API_KEY}         # a known provider: the rest has defaults
  # anthropic: {credentials: [vault, {source: file:/etc/farthing/anthropic.key, weight: 2, usd_per_day: 20}]}
  # azure: {base_url: https://example.openai.azure.com/openai, api_version: 2024-10-21, credential: env:AZURE_KEY}
  # openrouter: {credential: env:OPENROUTER_API_KEY, attribution: {title: Our app, url: https://example.com}}
  #
  # lab:                                             # a server of your own
  #   kind: openai-compatible
  #   base_url: http://127.0.0.1:8000/v1
  #   credential: none
  #   free: true                                     # its calls cost 0
  #   ca_file: /etc/ssl/lab.pem                      # certificates to trust in place of the system's, for https
  #   max_connections: 256
  #   stream_usage: ask                              # ask: streams report usage only when asked; or always
  #   hold_s: 10                                     # how long a stream without output is held back
  #   timeouts: {connect_s: 10, first_byte_s: 600, idle_s: 300, total_s: 3600}

# Whether an Ollama on this machine is looked for (where OLLAMA_HOST says, or at port 11434).
# find_local: true

# Other names for models, as provider:model. Clients may ask for either.
models:
  # fast: openai:gpt-5-mini

# Names that stand for several models, each as provider:model or by a name from models. Clients ask for the router as
# for a model; where one fails before it has said anything, the next is tried. strategy is order (as they stand) or
# cheapest (by what the request would cost).
routers:
  # careful: {models: [openai:gpt-5-mini, anthropic:claude-example], strategy: order}

# Prices of your own, in USD per million tokens; they win over the price list that comes with Farthing.
# request and web_search are USD for each one. "*" stands for any text. What a row does not name costs what input
# or output costs.
prices:
  # - {model: "lab:*", input: 0, output: 0}
  # - {model: "openai:gpt-5-mini", input: 0.25, output: 2, cache_read: 0.025}
  # - {model: "anthropic:claude-example", input: 3, output: 15, cache_read: 0.3, cache_write_5m: 3.75,
  #    cache_write_1h: 6, request: 0, web_search: 0.01}

# How much may be asked for in any minute, hour or day: requests, tokens, input_tokens, output_tokens or usd, each with
# _per_minute, _per_hour or _per_day; and concurrency, the calls under way at once. Without organisation, team, project,
# key, user, session, task, tag, provider, credential or router it is about all calls; "*" is each of them for itself.
limits:
  # each-key: {key: "*", requests_per_minute: 60, tokens_per_minute: 200000}
  # home: {provider: lab, concurrency: 2}

# What may be spent: US dollars for each period (hour, day, week, month, total, session). Nothing is sent that could
# pass a hard budget; a soft one is told of. Without organisation, team, project, key, user, session, task or tag it is
# about all calls; "*" is each of them for itself. "farthing budget" shows and makes budgets while the gateway runs.
budgets:
  # daily: {usd: 20, period: day, time_zone: Europe/Berlin}
  # each-key: {usd: 5, period: day, key: "*", policy: soft, at: {25: warn, 5: local_only}}
  # search: {usd: 300, period: month, reset_day: 15, project: search, grace_usd: 1}

# How long single calls are kept. What they cost stays for ever, by day, model, project, team, key, user, session, task,
# branch and tag. At least 7d; without it they are kept for ever.
retention:
  # calls: 400d

# Where you want to be told: when less is left of a budget than it says, when spending is unusual, when a limit will be
# reached at this pace, when a provider fails more than it does. "farthing alerts test" tries the channels.
alerts:
  # channels:
  #   ops: {kind: webhook, url: env:OPS_WEBHOOK_URL, secret: env:OPS_WEBHOOK_SECRET}
  #   team: {kind: slack, url: env:SLACK_WEBHOOK_URL, facts: [threshold, unusual]}
  #   me: {kind: email, host: mail.example.com, sender: farthing@example.com, to: [me@example.com]}
  # reports:
  #   weekly: {period: week, at: "08:00", time_zone: Europe/Berlin, channels: [me]}

# What you pay by the month or the day however much is called: subscriptions, power. Reports show it beside what calls
# cost, never in it. Without providers it is for all of them.
fixed_costs:
  # - {name: "team plan", usd: 100, per: month, providers: [anthropic]}
  # - {name: "GPU power", usd: 0.90, per: day}

# Where "farthing prices refresh" reads a newer price list: an https address or a file. It never does so by itself.
# prices_source: /var/lib/farthing/prices.json

# A call on a model without a known price: allow shows it as "of unknown cost", refuse does not send it.
# unpriced: allow
"""
