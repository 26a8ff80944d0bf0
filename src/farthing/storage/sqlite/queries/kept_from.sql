-- Lines that began before this may be gone.
SELECT kept_from_us FROM retention
