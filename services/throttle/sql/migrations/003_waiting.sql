-- Triggers whose time has not come: still pending, and decided afresh at due. A row goes when what was decided is published.
-- people: the person, and who turned out to be the same. by: what put it off, and reason: in words. taken_until: somebody has it
-- in hand, and if that one dies, another takes it then. tries: how often it was taken since it was last put off.
CREATE TABLE throttle.waiting (
    trigger_id  text PRIMARY KEY,
    people      text[] NOT NULL,
    due         timestamptz NOT NULL,
    by          text NOT NULL,
    reason      text NOT NULL,
    asked_at    timestamptz NOT NULL,
    trigger     bytea NOT NULL,
    taken_until timestamptz NOT NULL DEFAULT '-infinity',
    tries       int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX waiting_due ON throttle.waiting (due);
-- Without the list of what is still to be added: each question would go through all of it.
CREATE INDEX waiting_people ON throttle.waiting USING gin (people) WITH (fastupdate = off);

-- What a forecast must know to ask the same of another policy. asked_at: when the throttle first had the trigger in hand, null of
-- those decided before this was recorded. by: what decided, as a path in the policy or one of consent, expiry, holdout.
-- timezone: the person's, where the policy asked for it and it was known.
ALTER TABLE throttle.decisions
    ADD COLUMN by         text NOT NULL DEFAULT '',
    ADD COLUMN asked_at   timestamptz,
    ADD COLUMN aliases    text[] NOT NULL DEFAULT '{}',
    ADD COLUMN priority   int NOT NULL DEFAULT 0,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN timezone   text NOT NULL DEFAULT '';

UPDATE throttle.decisions SET by = 'consent' WHERE outcome = 'suppressed' AND reason LIKE 'suppressed: %';

-- Decisions are added in the order of time and never moved: next to nothing to keep, and a forecast reads a week of them.
CREATE INDEX decisions_time ON throttle.decisions USING brin (decided_at);
