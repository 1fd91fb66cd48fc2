-- name: create_partitions  Rows for partitions 0 to $1 - 1; those that exist stay as they are
INSERT INTO state.partitions (id) SELECT generate_series(0, $1 - 1) ON CONFLICT DO NOTHING

-- name: count_partitions  How many there are
SELECT count(*) FROM state.partitions

-- name: join  Say that $1 is alive for the length of a lease, and forget who is long gone
WITH gone AS (DELETE FROM state.members WHERE seen_until < now() - interval '1 minute')
INSERT INTO state.members (owner, seen_until) VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (owner) DO UPDATE SET seen_until = excluded.seen_until

-- name: leave  $1 goes: everything it held is free at once
WITH gone AS (DELETE FROM state.members WHERE owner = $1)
UPDATE state.partitions SET owner = NULL, lease_until = '-infinity'
WHERE id IN (SELECT id FROM state.partitions WHERE owner = $1 ORDER BY id FOR UPDATE)

-- name: renew  Prolong what $1 holds
UPDATE state.partitions SET lease_until = now() + make_interval(secs => $2)
WHERE id IN (SELECT id FROM state.partitions WHERE owner = $1 ORDER BY id FOR UPDATE)

-- name: alive  What time it is there, and who is alive
SELECT state.micros(clock_timestamp()) AS now,
       (SELECT coalesce(array_agg(owner), '{}') FROM state.members WHERE seen_until > now()) AS members

-- name: leases  Who holds what, and for how long still
SELECT id, owner, lease_until < now() AS expired,
       CASE WHEN lease_until > now() THEN extract(epoch FROM lease_until - now())::float8 ELSE 0 END AS left_s
FROM state.partitions

-- name: claim  Take those of $2 that are free or expired, in a new epoch, for the length of a lease
UPDATE state.partitions
SET owner = $1, epoch = epoch + 1, lease_until = now() + make_interval(secs => $3)
WHERE id IN (SELECT id FROM state.partitions
             WHERE id = ANY ($2) AND (owner IS NULL OR lease_until < now()) ORDER BY id FOR UPDATE)
RETURNING id, epoch, checkpoint, state.micros(checkpoint_time) AS checkpoint_time,
          (SELECT s.revision FROM state.sweeps AS s WHERE s.partition = partitions.id) AS swept

-- name: held  Those of $2 that $1 holds, as a claim gives them
SELECT id, epoch, checkpoint, state.micros(checkpoint_time) AS checkpoint_time,
       (SELECT s.revision FROM state.sweeps AS s WHERE s.partition = partitions.id) AS swept
FROM state.partitions WHERE owner = $1 AND id = ANY ($2)

-- name: release  Hand over what was drained
UPDATE state.partitions SET owner = NULL, lease_until = '-infinity'
WHERE id IN (SELECT id FROM state.partitions WHERE owner = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE)

-- name: load  The actors of the given people
SELECT a.person, a.remembered, state.micros(a.next_due) AS due
FROM unnest($1::int[], $2::text[]) AS n (partition, person)
JOIN state.actors AS a ON a.partition = n.partition AND a.person = n.person

-- name: due_between  Timers of partitions $1 due from $2 (or ever) until before $3
SELECT partition, person, state.micros(next_due) AS due
FROM state.actors
WHERE partition = ANY ($1) AND next_due >= coalesce(state.at($2), '-infinity') AND next_due < state.at($3)

-- name: unpublished  Triggers of partitions $1 that are committed but not known to be published
SELECT id, message FROM state.triggers WHERE partition = ANY ($1) AND published_at IS NULL ORDER BY fired_at LIMIT 1000

-- name: published  Mark them
UPDATE state.triggers SET published_at = now() WHERE id = ANY ($1)

-- name: commit  See the function of that name
SELECT * FROM state.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                           $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40,
                           $41, $42, $43, $44)

-- name: recorded  Everything recorded of person $1, the latest $2 of it
SELECT n, id, name, state.micros(happened_at) AS happened, state.micros(arrived_at) AS arrived, properties::text AS properties,
       trusted, source
FROM state.events WHERE person = $1 ORDER BY happened_at DESC, n DESC LIMIT $2

-- name: links_untold  Links of partitions $1 that were made but are not known to be told
SELECT id, previous, person FROM state.links WHERE partition = ANY ($1) AND published_at IS NULL ORDER BY id LIMIT 1000

-- name: links_told  Mark them
UPDATE state.links SET published_at = now() WHERE id = ANY ($1)

-- name: sweeps  How far the partitions of $1 have been gone through
SELECT partition, revision, at_person, done_at IS NOT NULL AS done FROM state.sweeps WHERE partition = ANY ($1)

-- name: following  Up to $3 people of partition $1 after $2, as they are remembered
SELECT person, remembered, state.micros(next_due) AS due, updated_at FROM state.actors
WHERE partition = $1 AND person > $2 ORDER BY person LIMIT $3

-- name: rearm  See the function of that name
SELECT * FROM state.rearm($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: progress  How far all partitions have been gone through for revision $1
SELECT count(*) AS partitions,
       count(*) FILTER (WHERE s.revision >= $1 AND s.done_at IS NOT NULL) AS done,
       coalesce(sum(s.seen) FILTER (WHERE s.revision >= $1), 0)::bigint AS seen,
       coalesce(sum(s.armed) FILTER (WHERE s.revision >= $1), 0)::bigint AS armed,
       greatest((SELECT reltuples FROM pg_class WHERE oid = 'state.actors'::regclass), 0)::bigint AS people,
       coalesce(extract(epoch FROM max(coalesce(s.done_at, now())) FILTER (WHERE s.revision >= $1)
                                 - min(s.began_at) FILTER (WHERE s.revision >= $1)), 0)::float8 AS seconds
FROM state.partitions AS p LEFT JOIN state.sweeps AS s ON s.partition = p.id

-- name: triggers_of  The latest $2 triggers of person $1 and of whoever turned out to be $1
SELECT t.id, t.person, t.rule, t.version, state.micros(t.fired_at) AS fired, t.outcome, t.reason,
       state.micros(t.outcome_at) AS outcome_at
FROM state.triggers AS t
WHERE t.person = ANY (ARRAY(SELECT alias FROM state.aliases WHERE person = $1) || $1)
ORDER BY t.fired_at DESC LIMIT $2

-- name: aliases_of  Who turned out to be person $1
SELECT alias FROM state.aliases WHERE person = $1 ORDER BY alias LIMIT 100

-- name: links  Up to $2 links after $1, in the order in which they were made
SELECT id, previous, person FROM state.links WHERE id > $1 ORDER BY id LIMIT $2

-- name: people  Up to $3 people of partition $1 after $2
SELECT person FROM state.actors WHERE partition = $1 AND person > $2 ORDER BY person LIMIT $3

-- name: history  What people $1 themselves did, in the order of arrival, after number $3 of person $2
SELECT person, n, id, name, state.micros(happened_at) AS happened, state.micros(arrived_at) AS arrived,
       properties::text AS properties, trusted, source, user_id, anonymous_id, sequence
FROM state.events
WHERE person = ANY ($1) AND copied_from IS NULL AND (person, n) > ($2, $3)
ORDER BY person, n LIMIT $4

-- name: results  What came of the triggers of rule $2 (of all, if empty) that fired from $1 on. A purchase is put down to the
-- mail clicked last within $3 before it; whoever bought within $3 after the firing bought, mailed or held out. Which variant of the
-- rule a trigger had, its outcome tells.
WITH fired AS (
    SELECT t.id, t.rule, t.outcome, t.fired_at, coalesce(a.person, t.person) AS person
    FROM state.triggers AS t LEFT JOIN state.aliases AS a ON a.alias = t.person
    WHERE t.fired_at >= state.at($1) AND ($2 = '' OR t.rule = $2)
), people AS (
    SELECT DISTINCT person FROM fired
), told AS (
    SELECT e.person, e.name, e.happened_at, e.properties ->> 'trigger_id' AS trigger, e.properties ->> 'variant' AS variant
    FROM people JOIN state.events AS e USING (person) WHERE e.source = 'beckon'
), purchases AS (
    SELECT e.person, e.id, e.happened_at, e.properties
    FROM people JOIN state.events AS e USING (person) WHERE e.name = 'purchased'
), conversions AS (
    SELECT DISTINCT ON (p.person, p.id) told.trigger, p.properties ->> 'currency' AS currency,
           CASE jsonb_typeof(p.properties -> 'total') WHEN 'number' THEN (p.properties ->> 'total')::float8 ELSE 0 END AS total
    FROM purchases AS p JOIN told USING (person)
    WHERE told.name = 'email_clicked' AND told.happened_at <= p.happened_at
      AND told.happened_at > p.happened_at - $3 * interval '1 microsecond'
    ORDER BY p.person, p.id, told.happened_at DESC
), each AS (
    SELECT fired.id, fired.rule, fired.outcome,
           coalesce((SELECT max(variant) FROM told WHERE told.trigger = fired.id), '') AS variant,
           ARRAY(SELECT DISTINCT name FROM told WHERE told.trigger = fired.id) AS names,
           EXISTS (SELECT 1 FROM purchases AS p WHERE p.person = fired.person AND p.happened_at >= fired.fired_at
                   AND p.happened_at < fired.fired_at + $3 * interval '1 microsecond') AS bought,
           (SELECT count(*) FROM conversions AS c WHERE c.trigger = fired.id) AS converted
    FROM fired
)
SELECT rule, variant, count(*) AS fired,
       count(*) FILTER (WHERE outcome IN ('email_sent', 'webhook_sent')) AS sent,
       count(*) FILTER (WHERE outcome = 'trigger_suppressed') AS suppressed,
       count(*) FILTER (WHERE outcome = 'trigger_held_out') AS held_out,
       count(*) FILTER (WHERE outcome IN ('email_expired', 'webhook_expired')) AS expired,
       count(*) FILTER (WHERE outcome IN ('email_failed', 'webhook_failed')) AS failed,
       count(*) FILTER (WHERE outcome = 'email_uncertain') AS uncertain,
       count(*) FILTER (WHERE 'email_opened' = ANY (names)) AS opened,
       count(*) FILTER (WHERE 'email_opened_by_machine' = ANY (names)) AS opened_by_machine,
       count(*) FILTER (WHERE 'email_clicked' = ANY (names)) AS clicked,
       count(*) FILTER (WHERE 'email_unsubscribed' = ANY (names)) AS unsubscribed,
       sum(converted)::bigint AS conversions,
       count(*) FILTER (WHERE outcome IN ('email_sent', 'webhook_sent') AND bought) AS sent_bought,
       count(*) FILTER (WHERE outcome = 'trigger_held_out' AND bought) AS held_out_bought,
       (SELECT coalesce(jsonb_object_agg(currency, total), '{}')::text FROM (
           SELECT coalesce(c.currency, '') AS currency, sum(c.total) AS total
           FROM conversions AS c JOIN each AS e ON e.id = c.trigger
           WHERE (e.rule, e.variant) = (each.rule, each.variant) GROUP BY 1
       ) AS summed) AS revenue
FROM each GROUP BY rule, variant ORDER BY rule, variant
