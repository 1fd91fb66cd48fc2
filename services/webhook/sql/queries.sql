-- name: add  A webhook the throttle allowed, in our hands ($9) until $10 unless its endpoint is disabled or $9 is empty. Answers whose
-- hands it is in; no row if it is known already.
WITH endpoint AS (
    INSERT INTO webhook.endpoints (id, url) VALUES ($2, $3) ON CONFLICT (id) DO NOTHING
), given AS (
    SELECT CASE WHEN EXISTS (SELECT 1 FROM webhook.endpoints WHERE id = $2 AND disabled_at IS NOT NULL)
           THEN '' ELSE $9::text END AS claim
)
INSERT INTO webhook.deliveries (id, endpoint, person, rule, trigger, status, created_at, last_chance_at, claim, due_at)
SELECT $1, $2, $4, $5, $6, 'pending', $7, $8, given.claim, CASE WHEN given.claim = '' THEN $7::timestamptz ELSE $10 END FROM given
ON CONFLICT (id) DO NOTHING
RETURNING claim;

-- name: claim  Take what is due in hand until $6, as $5: of each endpoint so much as there is room for, $1 if it is not in ($2, $3).
WITH lanes AS (
    SELECT id, url, coalesce(known.room, $1) AS room
    FROM webhook.endpoints LEFT JOIN unnest($2::text[], $3::int[]) AS known (id, room) USING (id)
    WHERE disabled_at IS NULL
), due AS (
    SELECT waiting.id, lanes.url FROM lanes CROSS JOIN LATERAL (
        SELECT id FROM webhook.deliveries
        WHERE endpoint = lanes.id AND status = 'pending' AND due_at <= $4 AND last_chance_at > $4
        ORDER BY due_at LIMIT lanes.room FOR UPDATE SKIP LOCKED
    ) AS waiting
)
UPDATE webhook.deliveries AS d SET claim = $5, due_at = $6
FROM due WHERE d.id = due.id
RETURNING d.id, d.endpoint, due.url, d.claim, d.trigger, d.begun_at, d.body, d.attempts, d.reason, d.replayed;

-- name: next_due  When the next is due, of the endpoints that are not in $1.
SELECT min(first.due_at)
FROM webhook.endpoints AS e CROSS JOIN LATERAL (
    SELECT due_at FROM webhook.deliveries
    WHERE endpoint = e.id AND status = 'pending' AND last_chance_at > $2 ORDER BY due_at LIMIT 1
) AS first
WHERE e.disabled_at IS NULL AND e.id <> ALL ($1);

-- name: overdue  Take those in hand until $3, as $1, whose time is up; with why their endpoint is disabled, if it is.
UPDATE webhook.deliveries AS d SET claim = $1, due_at = $3
FROM (
    SELECT id FROM webhook.deliveries
    WHERE status = 'pending' AND last_chance_at <= $2 AND (claim = '' OR due_at <= $2)
    ORDER BY last_chance_at LIMIT 100 FOR UPDATE SKIP LOCKED
) AS late, webhook.endpoints AS e
WHERE d.id = late.id AND e.id = d.endpoint
RETURNING d.id, d.endpoint, e.url, d.claim, d.trigger, d.begun_at, d.body, d.attempts,
          CASE WHEN e.disabled_at IS NULL THEN d.reason ELSE 'the endpoint is disabled: ' || e.reason END AS reason, d.replayed;

-- name: begin  An attempt is made now: answers a row if it is still ours ($2), and keeps it in hand until $5. The first attempt gives it
-- its body, and until $6 to be taken.
UPDATE webhook.deliveries
SET due_at = $5, begun_at = coalesce(begun_at, $4), body = $3,
    last_chance_at = CASE WHEN begun_at IS NULL THEN $6 ELSE last_chance_at END
WHERE id = $1 AND claim = $2 AND status = 'pending'
RETURNING id;

-- name: put_back  Nothing was attempted; it is due again at $3.
UPDATE webhook.deliveries SET claim = '', due_at = $3 WHERE id = $1 AND claim = $2 AND status = 'pending';

-- name: defer  An attempt ($4) failed, and another is due at $3; answers a row if it was still ours.
UPDATE webhook.deliveries
SET claim = '', due_at = $3, attempts = attempts + 1, reason = $5,
    log = CASE WHEN jsonb_array_length(log) < $6 THEN log ELSE log - 0 END || $4::jsonb
WHERE id = $1 AND claim = $2 AND status = 'pending'
RETURNING id;

-- name: end  How it ended ($3, $4), after an attempt ($6) or without one; answers a row if that stands. That it was taken ($8) is so,
-- whoever has it in hand by now. A replay leaves what was told before.
UPDATE webhook.deliveries
SET status = $3, reason = $4, claim = '', ended_at = $5,
    attempts = attempts + CASE WHEN $6::jsonb IS NULL THEN 0 ELSE 1 END,
    log = CASE WHEN $6::jsonb IS NULL THEN log
               WHEN jsonb_array_length(log) < $9 THEN log || $6::jsonb ELSE (log - 0) || $6::jsonb END,
    fact = CASE WHEN replayed THEN fact ELSE $7 END,
    untold = untold OR NOT replayed
WHERE id = $1 AND (claim = $2 OR $8) AND status = 'pending'
RETURNING id;

-- name: untold  Endings from before $1 that are not known to be told.
SELECT id, fact FROM webhook.deliveries WHERE untold AND ended_at <= $1 ORDER BY ended_at LIMIT 500;

-- name: told  These endings were told.
UPDATE webhook.deliveries SET untold = false WHERE id = ANY ($1);

-- name: disable  The endpoint wants no more; answers a row if it was enabled.
UPDATE webhook.endpoints SET disabled_at = $2, reason = $3 WHERE id = $1 AND disabled_at IS NULL RETURNING id;

-- name: tidy  Forget what ended before $1 and was told; answers how many there were of at most 5000.
WITH old AS (
    DELETE FROM webhook.deliveries WHERE id IN (
        SELECT id FROM webhook.deliveries WHERE ended_at <= $1 AND NOT untold LIMIT 5000
    ) RETURNING id
)
SELECT count(*) FROM old;
