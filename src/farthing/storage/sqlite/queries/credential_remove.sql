-- Forget a sealed credential, or make room for what it becomes.
DELETE FROM credentials WHERE id = ?
