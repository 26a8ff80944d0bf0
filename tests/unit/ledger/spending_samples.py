"""Made-up spending, hour by hour, from a seed: office hours, weekends, quiet and dear days, and hours that scatter."""

import math
import random

from farthing.types.history import HOUR_US, HourTotal

DAY_US = 24 * HOUR_US
BEGIN_US = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC, a Thursday


def made_up(
    seed: int, days: int, *, office: bool = True, drift: float = 0.0, dear_days: float = 0.0
) -> list[HourTotal]:
    """Return what was spent from `BEGIN_US` on.

    `drift` is how much the level wanders from day to day, `dear_days` how many of all days cost eight times as much.
    """
    seeded = random.Random(seed)
    found = []
    level = 1.0
    for day in range(days):
        level *= math.exp(seeded.gauss(0, drift) - drift**2 / 2 + drift * (1 - level) / 6)
        weekend = (BEGIN_US // DAY_US + day + 3) % 7 >= 5
        factor = math.exp(seeded.gauss(0, 0.5)) * level * (8 if seeded.random() < dear_days else 1)
        factor *= 0.15 if weekend and office else 1
        for hour in range(24):
            base = (1.0 if 9 <= hour < 18 else 0.05) if office else 0.5
            if office and seeded.random() < 0.35:
                continue
            spent = int(200_000_000 * base * factor * seeded.expovariate(1))
            at_us = BEGIN_US + day * DAY_US + hour * HOUR_US
            found.append(HourTotal(hour_us=at_us, spent_nanousd=spent, attempts=3, failed=0))
    return found
