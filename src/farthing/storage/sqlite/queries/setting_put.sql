-- Keep a setting, new or in the place of what was there.
INSERT INTO settings (path, value, changed_at_us, changed_by) VALUES (?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET
    value = excluded.value, changed_at_us = excluded.changed_at_us, changed_by = excluded.changed_by
