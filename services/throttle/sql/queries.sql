-- name: look  All that a decision needs, in one snapshot: $1 trigger, $2 the person and who turned out to be the person, $3 sends after this.
SELECT ARRAY(SELECT coalesce(people.revision, 0) FROM unnest($2::text[]) WITH ORDINALITY AS asked (person, place)
             LEFT JOIN throttle.people USING (person) ORDER BY place) AS revisions,
       (SELECT coalesce(max(version), 0) FROM throttle.policies) AS policy,
       throttle.suppressed($2) AS suppressed,
       decisions.outcome, decisions.reason, decisions.decided_at,
       sends.rules, sends.categories, sends.instants,
       throttle.unwanted($2) AS unwanted
FROM (SELECT $1::text AS trigger_id) AS asked
LEFT JOIN throttle.decisions USING (trigger_id)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(rule), '{}') AS rules,
           coalesce(array_agg(category), '{}') AS categories,
           coalesce(array_agg(decided_at), '{}') AS instants
    FROM throttle.decisions
    WHERE person = ANY ($2) AND outcome = 'send' AND released_at IS NULL AND decided_at > $3
) AS sends;

-- name: standing  What is against sending anything to $1, a person and who turned out to be the person.
SELECT throttle.suppressed($1) AS suppressed, throttle.unwanted($1) AS unwanted;

-- name: record  Store a decision about the first of $2 if nothing about any of them has changed since the look ($3, in the same order);
-- answers a row if it did. They are gone through in the order of their names, so that two who decide never wait for each other in a circle.
WITH moved AS (
    INSERT INTO throttle.people (person, revision)
    SELECT person, 1 FROM unnest($2::text[], $3::bigint[]) AS seen (person, revision) ORDER BY person
    ON CONFLICT (person) DO UPDATE SET revision = people.revision + 1
    WHERE people.revision = ($3::bigint[])[array_position($2::text[], people.person)]
    RETURNING person
)
INSERT INTO throttle.decisions (trigger_id, person, rule, category, outcome, reason, decided_at)
SELECT $1, ($2::text[])[1], $4, $5, $6, $7, $8 WHERE (SELECT count(*) FROM moved) = cardinality($2::text[])
ON CONFLICT (trigger_id) DO NOTHING
RETURNING trigger_id;

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
