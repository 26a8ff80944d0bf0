-- Lead until $3, where nobody else does at $2; who says that he leads for longer than anybody may had a wrong clock.
UPDATE alert_leader SET holder = $1, until_us = $3
WHERE holder = $1 OR until_us <= $2 OR until_us > $3::bigint + 60000000
