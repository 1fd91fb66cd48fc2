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

-- Why nothing at all may be sent to any of these, who are one person; null if nothing is against it.
CREATE FUNCTION throttle.suppressed(people text[]) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT reason FROM throttle.suppressions WHERE person = ANY (people) ORDER BY since DESC LIMIT 1);

-- The categories that these, who are one person, do not want: of each the latest choice of any of them counts.
CREATE FUNCTION throttle.unwanted(people text[]) RETURNS text[] LANGUAGE sql STABLE
    RETURN ARRAY(
        SELECT category FROM (
            SELECT DISTINCT ON (category) category, wanted FROM throttle.consents WHERE person = ANY (people)
            ORDER BY category, chosen_at DESC
        ) AS latest WHERE NOT wanted
    );
