-- What came of tasks and sessions, as somebody told; organisation and team are empty where it is about everybody's.
CREATE TABLE outcomes (
    kind text NOT NULL,
    name text NOT NULL,
    organisation text NOT NULL,
    team text NOT NULL,
    id text COLLATE "C" NOT NULL UNIQUE,
    succeeded bigint NOT NULL,
    at_us bigint NOT NULL,
    who text NOT NULL,
    PRIMARY KEY (kind, name, organisation, team)
);
CREATE INDEX outcomes_by_time ON outcomes (at_us);
