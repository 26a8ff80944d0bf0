-- Only the groups that cost most: a part of costs.sql. An array, because two that are NULL are equal in one.
ARRAY[({label})::text COLLATE "C"] IN (
    SELECT ARRAY[label]
    FROM (
        SELECT ({label})::text COLLATE "C" AS label
        FROM {source}
        WHERE {conditions}
        GROUP BY 1
        ORDER BY {first}, 1 NULLS LAST
        {limit}
    ) AS dearest
)
