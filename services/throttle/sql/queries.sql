-- name: look  All that a decision needs, in one snapshot: $1 trigger, $2 the person and who turned out to be the person, $3 sends after this.
SELECT ARRAY(SELECT coalesce(people.revision, 0) FROM unnest($2::text[]) WITH ORDINALITY AS asked (person, place)
             LEFT JOIN throttle.people USING (person) ORDER BY place) AS revisions,
       (SELECT coalesce(max(version), 0) FROM throttle.policies) AS policy,
       throttle.suppressed($2) AS suppressed,
       decisions.outcome, decisions.reason, decisions.by, decisions.decided_at,
       sends.rules, sends.categories, sends.instants,
       throttle.unwanted($2) AS unwanted,
       EXISTS (SELECT FROM throttle.waiting WHERE waiting.trigger_id = $1) AS waits
FROM (SELECT $1::text AS trigger_id) AS asked
LEFT JOIN throttle.decisions USING (trigger_id)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(rule), '{}') AS rules,
           coalesce(array_agg(category), '{}') AS categories,
           coalesce(array_agg(decided_at), '{}') AS instants
    FROM throttle.decisions
    WHERE person = ANY ($2) AND outcome = 'send' AND released_at IS NULL AND decided_at > $3
) AS sends;

-- name: others  What of $1, who are one person, waits for a decision.
SELECT trigger, asked_at, due, by, people FROM throttle.waiting
WHERE people && $1 AND NOT EXISTS (SELECT FROM throttle.decisions WHERE decisions.trigger_id = waiting.trigger_id);

-- name: standing  What is against sending anything to $1, a person and who turned out to be the person.
SELECT throttle.suppressed($1) AS suppressed, throttle.unwanted($1) AS unwanted;

-- name: record  Store what was found about triggers of $1, who are one person, if nothing about any of them has changed since the look
-- ($2, in the same order); answers whether it was so. They are gone through in the order of their names, so that two who decide never
-- wait for each other in a circle. Decided, a place for each: $3 to $13; put off: $14 to $19. $20: their time zone, if it is known.
WITH moved AS (
    INSERT INTO throttle.people (person, revision)
    SELECT person, 1 FROM unnest($1::text[], $2::bigint[]) AS seen (person, revision) ORDER BY person
    ON CONFLICT (person) DO UPDATE SET revision = people.revision + 1
    WHERE people.revision = ($2::bigint[])[array_position($1::text[], people.person)]
    RETURNING person
),
unmoved AS (
    SELECT (SELECT count(*) FROM moved) = cardinality($1::text[]) AS so
),
decided AS (
    INSERT INTO throttle.decisions (trigger_id, person, rule, category, outcome, reason, by, decided_at, asked_at, aliases, priority,
                                    expires_at, timezone)
    SELECT trigger_id, person, rule, category, outcome, reason, by, decided_at, asked_at, array_remove($1, person), priority,
           expires_at, $20
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
                $11::timestamptz[], $12::int[], $13::timestamptz[])
         AS made (trigger_id, person, rule, category, outcome, reason, by, decided_at, asked_at, priority, expires_at)
    WHERE (SELECT so FROM unmoved)
    ON CONFLICT (trigger_id) DO NOTHING
),
put_off AS (
    INSERT INTO throttle.waiting (trigger_id, people, due, by, reason, asked_at, trigger)
    SELECT trigger_id, $1, due, by, reason, asked_at, trigger
    FROM unnest($14::text[], $15::timestamptz[], $16::text[], $17::text[], $18::timestamptz[], $19::bytea[])
         AS made (trigger_id, due, by, reason, asked_at, trigger)
    WHERE (SELECT so FROM unmoved)
    ON CONFLICT (trigger_id) DO UPDATE
    SET people = excluded.people, due = excluded.due, by = excluded.by, reason = excluded.reason, trigger = excluded.trigger,
        taken_until = '-infinity', tries = 0
)
SELECT so FROM unmoved;

-- name: take  Up to $3 of what is due at $1, earliest first, to have in hand until $2.
UPDATE throttle.waiting SET taken_until = $2, tries = tries + 1
WHERE trigger_id IN (
    SELECT trigger_id FROM throttle.waiting WHERE due <= $1 AND taken_until <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING trigger_id, trigger, asked_at, due, by, tries;

-- name: forget  What was decided about these is published.
DELETE FROM throttle.waiting WHERE trigger_id = ANY ($1);

-- name: next_due  The earliest due of all that nobody has in hand at $1.
SELECT min(due) FROM throttle.waiting WHERE taken_until <= $1;

-- name: waiting  How many wait.
SELECT count(*) FROM throttle.waiting;

-- name: waiting_of  What of $1, who are one person, waits still.
SELECT trigger_id, due, by, reason FROM throttle.waiting
WHERE people && $1 AND NOT EXISTS (SELECT FROM throttle.decisions WHERE decisions.trigger_id = waiting.trigger_id)
ORDER BY due, trigger_id;

-- name: release  A decision to send came to nothing: give its place in the caps back; answers a row the first time.
WITH released AS (
    UPDATE throttle.decisions SET released_at = $2
    WHERE trigger_id = $1 AND outcome = 'send' AND released_at IS NULL
    RETURNING person
)
UPDATE throttle.people SET revision = revision + 1 FROM released WHERE people.person = released.person
RETURNING people.person;

-- name: suppress  Put a person on the suppression list; the latest reason stands.
WITH moved AS (
    INSERT INTO throttle.people (person, revision) VALUES ($1, 1)
    ON CONFLICT (person) DO UPDATE SET revision = people.revision + 1
    RETURNING person
)
INSERT INTO throttle.suppressions (person, reason, since) SELECT person, $2, $3 FROM moved
ON CONFLICT (person) DO UPDATE SET reason = excluded.reason, since = excluded.since;

-- name: unsuppress  Take a person off the suppression list.
WITH moved AS (
    UPDATE throttle.people SET revision = revision + 1 WHERE person = $1
)
DELETE FROM throttle.suppressions WHERE person = $1;

-- name: consent  What a person chose, $3: about a category, or about everything (empty); the latest choice stands.
WITH moved AS (
    INSERT INTO throttle.people (person, revision) VALUES ($1, 1)
    ON CONFLICT (person) DO UPDATE SET revision = people.revision + 1
    RETURNING person
)
INSERT INTO throttle.consents (person, category, wanted, chosen_at) SELECT person, $2, $3, $4 FROM moved
ON CONFLICT (person, category) DO UPDATE SET wanted = excluded.wanted, chosen_at = excluded.chosen_at
WHERE consents.chosen_at <= excluded.chosen_at;

-- name: consents  What a person chose, and the categories they were sent something of.
SELECT category, bool_and(wanted) AS wanted
FROM (
    SELECT category, wanted FROM throttle.consents WHERE person = $1
    UNION ALL
    SELECT DISTINCT category, true FROM throttle.decisions WHERE person = $1 AND outcome = 'send' AND released_at IS NULL
) AS known
GROUP BY category ORDER BY category;

-- name: past  What was decided after $1, in the order in which it came, $2 at most.
SELECT person, aliases, rule, category, priority, expires_at, timezone, outcome, reason, by, decided_at, released_at,
       coalesce(asked_at, decided_at) AS came_at
FROM throttle.decisions WHERE decided_at > $1 ORDER BY came_at, trigger_id LIMIT $2;

-- name: policies  Every version, the first one first.
SELECT version, put_at, put_by FROM throttle.policies ORDER BY version;

-- name: policy  A version of the policy.
SELECT document FROM throttle.policies WHERE version = $1;

-- name: current_policy  The policy in force.
SELECT version, document FROM throttle.policies ORDER BY version DESC LIMIT 1;

-- name: last_policy_by  The latest document from one source.
SELECT document FROM throttle.policies WHERE put_by = $1 ORDER BY version DESC LIMIT 1;

-- name: put_policy  Add the next version; answers no row if somebody else has just taken its number.
INSERT INTO throttle.policies (version, document, put_by, put_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (version) DO NOTHING
RETURNING version;
