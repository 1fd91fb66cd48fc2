-- What people chose to get and not to get; where nothing is chosen, they get it. Bounces, complaints and operators' decisions are
-- suppressions, which no choice of the person lifts.
CREATE TABLE throttle.consents (
    person    text NOT NULL,
    category  text NOT NULL,
    wanted    boolean NOT NULL,
    chosen_at timestamptz NOT NULL,
    PRIMARY KEY (person, category)
);

COMMENT ON COLUMN throttle.consents.category IS 'Empty: everything.';

INSERT INTO throttle.consents (person, category, wanted, chosen_at)
SELECT person, '', false, since FROM throttle.suppressions WHERE reason = 'unsubscribed';
DELETE FROM throttle.suppressions WHERE reason = 'unsubscribed';
