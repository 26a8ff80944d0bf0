"""Examples for every command's help, each a line that works as it stands; a test parses them all.

They stand together so that whoever writes one sees the others: the same names and figures run through them.
"""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "farthing": ("farthing serve", "farthing costs --by project --since 7d", "farthing doctor"),
    "serve": ("farthing serve", "farthing serve --port 3001 --home ~/farthing-test", "farthing serve --workers 4"),
    "run": (
        "farthing run claude",
        "farthing run --model ollama:qwen3:8b codex exec 'Explain this repository'",
        "farthing run --task issue-12 --dry-run aider",
    ),
    "wire": ("farthing wire claude", "farthing wire codex --model ollama:qwen3:8b"),
    "unwire": ("farthing unwire claude",),
    "status": ("farthing status", "farthing status --session run-claude-5e1f0a --json"),
    "costs": (
        "farthing costs",
        "farthing costs --by project --since 7d",
        "farthing costs --by model --team core --since 2026-11-01 --until 2026-12-01",
        "farthing costs --by day --since 2026-11-01 --csv > november.csv",
    ),
    "budget": ("farthing budget list", "farthing budget set daily --usd 20 --period day"),
    "budget list": ("farthing budget list", "farthing budget list --json"),
    "budget set": (
        "farthing budget set daily --usd 20 --period day --time-zone Europe/Berlin",
        "farthing budget set search --usd 300 --period month --project search --at 10:warn",
        'farthing budget set each-key --usd 5 --period day --key "*" --soft',
    ),
    "budget remove": ("farthing budget remove search",),
    "budget resume": ("farthing budget resume daily",),
    "limits": ("farthing limits list", 'farthing limits set polite requests_per_minute=60 --key "*"'),
    "limits list": ("farthing limits list", "farthing limits list --json"),
    "limits set": (
        'farthing limits set polite requests_per_minute=60 tokens_per_hour=500000 --key "*"',
        "farthing limits set home concurrency=2 --provider ollama",
        "farthing limits set polite tokens_per_hour=none usd_per_day=2.50",
    ),
    "limits remove": ("farthing limits remove polite",),
    "report": (
        "farthing report day",
        "farthing report month --of 2026-11-18 --scope project=site",
        "farthing report week --local-target 30 --json",
    ),
    "chargeback": (
        "farthing chargeback 2026-11 --by team",
        "farthing chargeback 2026-11 --by project --with-fixed --format csv > november.csv",
    ),
    "export": ("farthing export costs --since 2026-11-01 --until 2026-12-01 --out november.csv",),
    "export attempts": (
        "farthing export attempts --since 7d --format jsonl",
        "farthing export attempts --format focus --since 2026-11-01 --until 2026-12-01 --out focus.csv",
    ),
    "export costs": ("farthing export costs --since 30d", "farthing export costs --format json --out costs.json"),
    "reconcile": (
        "farthing reconcile usage.json --provider openai",
        "farthing reconcile bill.csv --provider generic --name lab --columns day=Date,model=Model,usd=Amount",
    ),
    "estimate": (
        "farthing estimate request.json",
        "farthing estimate request.json --model openai:gpt-5-mini --model openai:gpt-5-nano --output-tokens 500",
    ),
    "prices": ("farthing prices show openai:gpt-5-mini", "farthing prices refresh"),
    "prices show": ("farthing prices show", "farthing prices show gpt-5-mini --json"),
    "prices explain": (
        "farthing prices explain call_01kagv3x7q",
        "farthing prices explain --provider openai --model gpt-5-mini --usage input_tokens=1200,output_tokens=80",
    ),
    "prices refresh": (
        "farthing prices refresh",
        "farthing prices refresh --from prices.json --yes",
        "farthing prices refresh --undo",
    ),
    "prices diff": ("farthing prices diff", "farthing prices diff --from openrouter --limit 100"),
    "prices reprice": ("farthing prices reprice --since 7d", "farthing prices reprice --by day --as-of now --json"),
    "calls": (
        "farthing calls",
        "farthing calls --limit 100 --json",
        "farthing calls --unknown",
        "farthing calls show call_01kagv3x7q",
    ),
    "calls show": ("farthing calls show call_01kagv3x7q", "farthing calls show call_01kagv3x7q --json"),
    "providers": ("farthing providers list", "farthing providers test"),
    "providers list": ("farthing providers list", "farthing providers list --json"),
    "providers test": ("farthing providers test", "farthing providers test openai"),
    "providers add": (
        "farthing providers add openai --credential env:OPENAI_API_KEY",
        "farthing providers add lab --base-url http://127.0.0.1:8000/v1 --credential none --free",
    ),
    "providers remove": ("farthing providers remove lab",),
    "credentials": ("farthing credentials add openai", "farthing credentials list"),
    "credentials add": (
        "farthing credentials add openai",
        "farthing credentials add openai --name work --weight 3 --usd-per-day 20",
    ),
    "credentials list": ("farthing credentials list", "farthing credentials list --json"),
    "credentials show": ("farthing credentials show work",),
    "credentials set": ("farthing credentials set work --weight 5", "farthing credentials set work --no-quotas"),
    "credentials rotate": ("farthing credentials rotate work",),
    "credentials enable": ("farthing credentials enable work",),
    "credentials disable": ("farthing credentials disable work",),
    "credentials remove": ("farthing credentials remove work", "farthing credentials remove --all"),
    "credentials test": ("farthing credentials test", "farthing credentials test work"),
    "credentials rotate-master": ("farthing credentials rotate-master",),
    "keys": ("farthing keys create my-app --project search", "farthing keys list"),
    "keys create": (
        "farthing keys create my-app",
        "farthing keys create ci --project search --team core --tags nightly,ci --expires 90d --json",
        "farthing keys create guest --model 'ollama:*' --model openai:gpt-5-mini",
        "farthing keys create editor --bind ollama:qwen3:8b",
    ),
    "keys list": ("farthing keys list", "farthing keys list --json"),
    "keys show": ("farthing keys show my-app", "farthing keys show my-app --json"),
    "keys edit": ("farthing keys edit my-app --team core", "farthing keys edit guest --any-model --bind ''"),
    "keys rotate": ("farthing keys rotate my-app", "farthing keys rotate my-app --grace 0"),
    "keys enable": ("farthing keys enable my-app",),
    "keys disable": ("farthing keys disable my-app",),
    "keys expire": ("farthing keys expire my-app --at 30d", "farthing keys expire my-app --never"),
    "keys revoke": ("farthing keys revoke my-app", "farthing keys revoke --all"),
    "keys delete": ("farthing keys delete my-app",),
    "keys rename": ("farthing keys rename my-app search-service",),
    "ledger": ("farthing ledger verify",),
    "ledger verify": ("farthing ledger verify", "farthing ledger verify --json"),
    "ledger new": ("farthing ledger new",),
    "ledger rebuild": ("farthing ledger rebuild", "farthing ledger rebuild --json"),
    "storage": ("farthing storage status",),
    "storage status": ("farthing storage status", "farthing storage status --json"),
    "storage migrate": (
        "farthing storage migrate --to env:FARTHING_DATABASE_URL",
        "farthing storage migrate --to file:/etc/farthing/database.url",
        "farthing storage migrate --to sqlite",
    ),
    "backup": ("farthing backup farthing-2026-11-21.tar.gz",),
    "restore": (
        "farthing restore farthing-2026-11-21.tar.gz --home ~/farthing-restored",
        "farthing restore farthing-2026-11-21.tar.gz --replace",
    ),
    "admin": ("farthing admin link", "farthing admin token create rita --role manager --team core"),
    "admin link": ("farthing admin link", "farthing admin link --port 3001"),
    "admin token": ("farthing admin token create board --role viewer", "farthing admin token list"),
    "admin token create": (
        "farthing admin token create rita --role manager --team core",
        "farthing admin token create board --role viewer --json",
    ),
    "admin token list": ("farthing admin token list", "farthing admin token list --json"),
    "admin token revoke": ("farthing admin token revoke rita",),
    "doctor": ("farthing doctor", "farthing doctor --json"),
    "config": ("farthing config check",),
    "config check": ("farthing config check", "farthing config check --home ~/farthing-test"),
    "config show": ("farthing config show", "farthing config show --origin"),
    "config set": ("farthing config set server.port 3001", "farthing config set log.level info"),
    "config schema": ("farthing config schema > settings.schema.json",),
    "logs": ("farthing logs level debug",),
    "logs level": ("farthing logs level", "farthing logs level debug", "farthing logs level settings"),
    "completion": (
        "farthing completion bash >> ~/.bashrc",
        "farthing completion zsh >> ~/.zshrc",
        "farthing completion fish >> ~/.config/fish/config.fish",
    ),
}


def epilog(name: str) -> str | None:
    """Return what stands below a command's options; `None` where there is no example."""
    lines = EXAMPLES.get(name)
    # \b keeps click from making a paragraph of the lines.
    return None if lines is None else "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
