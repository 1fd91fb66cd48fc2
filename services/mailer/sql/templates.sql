-- name: current  The newest version of every name.
SELECT DISTINCT ON (name) name, version, checksum, put_by, put_at, files IS NULL AS deleted
FROM mailer.templates ORDER BY name, version DESC;

-- name: get  A version of a template with its files, the newest if $2 is 0.
SELECT name, version, checksum, put_by, put_at, files IS NULL AS deleted, files
FROM mailer.templates WHERE name = $1 AND ($2 = 0 OR version = $2) ORDER BY version DESC LIMIT 1;

-- name: last_by  The checksum of the latest version from one source.
SELECT checksum FROM mailer.templates WHERE name = $1 AND put_by = $2 ORDER BY version DESC LIMIT 1;

-- name: put  Add the next version; answers no row if somebody else has just taken its number.
INSERT INTO mailer.templates (name, version, files, checksum, put_by, put_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name, version) DO NOTHING
RETURNING version;
