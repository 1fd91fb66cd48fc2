-- name: put  See the function of that name
SELECT version, changed FROM rules.put($1, $2, $3, $4, $5, $6, $7)

-- name: revision  How many changes there have been
SELECT number FROM rules.revision

-- name: go_on_after  Where the revision is below $1: make it the next one, at which everything began to be watched
WITH moved AS (UPDATE rules.revision SET number = $1 + 1, watched = $1 + 1 WHERE number < $1 RETURNING number)
SELECT pg_notify('rules_changed', number::text) IS NOT NULL FROM moved

-- name: current  Every rule's current version, and the revision that this is, in one snapshot
SELECT c.id, c.version, c.document, c.status, c.baseline, c.live_since, r.number, r.watched
FROM rules.revision AS r LEFT JOIN rules.current AS c ON true
ORDER BY c.id

-- name: list  Summaries of the current versions
SELECT id, version, name, status, changed_at, live_since, put_by FROM rules.current WHERE status <> 'deleted' ORDER BY id

-- name: get  One version of rule $1, the current one if $2 is 0
SELECT id, version, name, status, changed_at, live_since, put_by, document FROM rules.documents
WHERE id = $1 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1

-- name: versions  All versions of rule $1
SELECT id, version, name, status, changed_at, live_since, put_by FROM rules.documents WHERE id = $1 ORDER BY version

-- name: delete  See the function of that name
SELECT rules.delete($1, $2)
