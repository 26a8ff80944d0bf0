-- Limits, what was used of their windows, and what processes have leased of those.

-- What was removed stays as a row without a name and a rule, so that who follows the changes learns of it.
CREATE TABLE limits (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" UNIQUE,
    rule text,  -- the whole of it, as JSON: nothing is looked for inside
    changed bigint NOT NULL
);
CREATE INDEX limits_by_change ON limits (changed);

CREATE TABLE limit_changes (
    id integer PRIMARY KEY CHECK (id = 1),
    counter bigint NOT NULL
);
INSERT INTO limit_changes (id, counter) VALUES (1, 0);

-- What one process used of a window in one sub-window, until it leaves the window. A window of 0 us counts what is under
-- way, for as long as its process is heard of.
CREATE TABLE window_counts (
    window_id text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    sub_window bigint NOT NULL,
    amount bigint NOT NULL,
    leaves_us bigint NOT NULL,
    PRIMARY KEY (window_id, holder, sub_window)
);
CREATE INDEX window_counts_by_end ON window_counts (leaves_us);

-- What a process may still use without asking. One that ended counts as used at its end.
CREATE TABLE window_leases (
    window_id text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    window_us bigint NOT NULL,
    amount bigint NOT NULL,
    until_us bigint NOT NULL,
    PRIMARY KEY (window_id, holder)
);

CREATE TABLE window_wants (
    window_id text COLLATE "C" PRIMARY KEY,
    wanted_us bigint NOT NULL,
    wanted_by text NOT NULL
);
