"""What to do about a model whose price nobody knows, in the words of every command that meets one."""

GIVE_A_PRICE = (
    'A price of your own goes under "prices:" in settings.yaml, as {model: "PROVIDER:MODEL", input: USD, output: USD}'
    ' per million tokens; for a provider that costs nothing, "farthing config set providers.NAME.free true". It holds'
    " from the next call on."
)
