"""What the simulated models cost."""

RATES: dict[str, tuple[int, int, int]] = {
    "alpha": (3_000, 15_000, 300),
    "claude": (5_000, 25_000, 500),
    "gem": (1_000, 4_000, 250),
    "llama": (70, 110, 70),
}
"""Nanodollars for a token read, written, and read from the cache; no two providers have one in common by accident."""
