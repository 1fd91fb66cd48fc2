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
RETURNING id, epoch, checkpoint, state.micros(checkpoint_time) AS checkpoint_time

-- name: held  Those of $2 that $1 holds, as a claim gives them
SELECT id, epoch, checkpoint, state.micros(checkpoint_time) AS checkpoint_time
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
SELECT state.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                    $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)
