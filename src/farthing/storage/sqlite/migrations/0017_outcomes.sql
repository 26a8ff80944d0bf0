-- What came of tasks and sessions, as somebody told; organisation and team are empty where it is about everybody's.
CREATE TABLE outcomes (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    succeeded INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (kind, name, organisation, team)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcomes_by_time ON outcomes (at_us);
