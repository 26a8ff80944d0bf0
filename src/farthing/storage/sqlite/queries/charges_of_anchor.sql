-- The accounts of one anchor that lines belong to: a part of charges.sql.
SELECT a.account_id, b.posted, b.unknown
FROM batch AS b CROSS JOIN accounts AS a ON {which}
WHERE a.start_us <= b.second * 1000000 AND (a.end_us IS NULL OR a.end_us > b.second * 1000000)
    {alike}
    AND (a.tag IS NULL OR instr(b.tag_list, ',' || a.tag || ',') > 0)
