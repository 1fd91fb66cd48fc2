-- One row per trigger, for ever the same decision. released_at: it came to nothing later and counts towards no cap.
CREATE TABLE throttle.decisions (
    trigger_id  text PRIMARY KEY,
    person      text NOT NULL,
    rule        text NOT NULL,
    category    text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('send', 'suppressed', 'held_out', 'expired')),
    reason      text NOT NULL,
    decided_at  timestamptz NOT NULL,
    released_at timestamptz
);

-- Exactly the rows that count towards caps.
CREATE INDEX decisions_counting ON throttle.decisions (person, decided_at)
    WHERE outcome = 'send' AND released_at IS NULL;

-- revision grows with every change to what is known of a person: a decision is recorded only if it has not moved since
-- the decision was made.
CREATE TABLE throttle.people (
    person   text PRIMARY KEY,
    revision bigint NOT NULL
);

CREATE TABLE throttle.suppressions (
    person text PRIMARY KEY,
    reason text NOT NULL,
    since  timestamptz NOT NULL
);

CREATE TABLE throttle.policies (
    version  int PRIMARY KEY,
    document text NOT NULL,
    put_by   text NOT NULL,
    put_at   timestamptz NOT NULL
);
