-- Be the one who deletes until $3, where nobody else is at $2; see alert_lead.
UPDATE retention SET holder = $1, until_us = $3
WHERE holder = $1 OR until_us <= $2 OR until_us > $3::bigint + 60000000
