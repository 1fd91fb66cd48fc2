-- name: enable  Send to the endpoint again ($1, its id or its URL), and at once whatever waits. Answers how much that is, and no row if
-- there is no such endpoint.
WITH enabled AS (
    UPDATE webhook.endpoints SET disabled_at = NULL, reason = '' WHERE id = $1 OR url = $1 RETURNING id
), woken AS (
    UPDATE webhook.deliveries AS d SET due_at = $2 FROM enabled
    WHERE d.endpoint = enabled.id AND status = 'pending' AND claim = '' RETURNING d.id
)
SELECT enabled.id, (SELECT count(*) FROM woken) AS waiting FROM enabled;

-- name: replay  Send again what has ended: those of $1, and all of the endpoint $2 that failed or expired. Answers those that will be;
-- what was suppressed stays so.
UPDATE webhook.deliveries AS d
SET status = 'pending', due_at = $3, last_chance_at = $4, begun_at = NULL, attempts = 0, ended_at = NULL, replayed = true
FROM webhook.endpoints AS e
WHERE e.id = d.endpoint AND status IN ('sent', 'failed', 'expired')
  AND (d.id = ANY ($1) OR ($2 <> '' AND (e.id = $2 OR e.url = $2) AND status <> 'sent'))
RETURNING d.id;

-- name: hasten  Try those of $1 now that wait for their next attempt. Answers which.
UPDATE webhook.deliveries SET due_at = $2 WHERE id = ANY ($1) AND status = 'pending' AND claim = '' RETURNING id;

-- name: endpoints  Every endpoint, with how much waits for it.
SELECT e.id, e.url, e.disabled_at, e.reason,
       (SELECT count(*) FROM webhook.deliveries WHERE endpoint = e.id AND status = 'pending') AS waiting
FROM webhook.endpoints AS e ORDER BY e.url;

-- name: list  The latest webhooks: of a status $1, an endpoint $2 (its id or its URL), a rule $3, where those are not empty.
SELECT d.id, d.person, d.rule, d.endpoint, e.url, d.status, d.attempts, d.reason, d.created_at, d.due_at, d.ended_at
FROM webhook.deliveries AS d JOIN webhook.endpoints AS e ON e.id = d.endpoint
WHERE ($1 = '' OR d.status = $1) AND ($2 = '' OR e.id = $2 OR e.url = $2) AND ($3 = '' OR d.rule = $3)
ORDER BY d.created_at DESC LIMIT $4;

-- name: find  One webhook with all that is known of it.
SELECT d.id, d.person, d.rule, d.endpoint, e.url, d.status, d.attempts, d.reason, d.created_at, d.due_at, d.ended_at, d.log, d.body
FROM webhook.deliveries AS d JOIN webhook.endpoints AS e ON e.id = d.endpoint
WHERE d.id = $1;
