"""What the simulated models cost."""

RATES: dict[str, tuple[int, int, int]] = {
    "alpha": (3_000, 15_000, 300),
    "claude": (5_000, 25_000, 500),
    "gem": (1_000, 4_000, 250),
    "llama": (70, 110, 70),
    "beta": (2_900, 14_900, 310),
    "clara": (5_100, 25_100, 490),
    "gil": (1_010, 3_900, 240),
    "lama": (60, 120, 60),
}
"""Nanodollars for a token read, written, and read from the cache; no two providers have one in common by accident."""
