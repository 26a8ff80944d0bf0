-- Lead, where nobody else does; who says that he leads for longer than anybody may had a clock that was wrong.
UPDATE alert_leader SET holder = :holder, until_us = :until
WHERE holder = :holder OR until_us <= :now OR until_us > :until + 60000000
