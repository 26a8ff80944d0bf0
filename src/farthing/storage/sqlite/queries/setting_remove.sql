-- Forget a setting.
DELETE FROM settings WHERE path = ?
