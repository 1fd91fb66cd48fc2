-- watched: the revision at which a condition last began or ceased to be watched.
ALTER TABLE rules.revision ADD COLUMN watched bigint NOT NULL DEFAULT 0;
UPDATE rules.revision SET watched = number;

-- A deleted rule has a last version that says so; what it was stays on record.
ALTER TABLE rules.documents DROP CONSTRAINT documents_status_check;
ALTER TABLE rules.documents ADD CONSTRAINT documents_status_check
    CHECK (status IN ('draft', 'test', 'live', 'paused', 'deleted'));

-- Store a document as a new version, unless it is the current one. What was put by p_unless_by is not put by it again until
-- it differs from what it put last: a file that is read at every start does not undo what an operator changed since.
CREATE OR REPLACE FUNCTION rules.put(
    p_id text, p_document text, p_name text, p_status text, p_condition text, p_by text, p_unless_by text,
    OUT version int, OUT changed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    latest rules.documents;
    next_revision bigint;
    moment timestamptz;
    was_live boolean;
    is_live boolean := p_status IN ('live', 'test');
    goes_on boolean;
BEGIN
    PERFORM 1 FROM rules.revision FOR UPDATE;
    SELECT * INTO latest FROM rules.current AS c WHERE c.id = p_id;
    version := coalesce(latest.version, 0);
    changed := latest.document IS DISTINCT FROM p_document AND p_document IS DISTINCT FROM (
        SELECT d.document FROM rules.documents AS d
        WHERE d.id = p_id AND d.put_by = p_unless_by ORDER BY d.version DESC LIMIT 1
    );
    IF NOT changed THEN
        RETURN;
    END IF;
    version := version + 1;
    moment := clock_timestamp();
    was_live := coalesce(latest.status IN ('live', 'test'), false);
    -- A rule that stays in the same live status with the same condition is the same rule to the people it watches.
    goes_on := coalesce(is_live AND latest.status = p_status AND latest.condition = p_condition, false);
    INSERT INTO rules.documents VALUES (
        p_id, version, p_document, p_name, p_status, p_condition,
        CASE WHEN goes_on THEN latest.baseline WHEN is_live THEN version END,
        CASE WHEN goes_on THEN latest.live_since WHEN is_live THEN moment END,
        p_by, moment
    );
    UPDATE rules.revision AS r
    SET number = number + 1, watched = CASE WHEN (is_live OR was_live) AND NOT goes_on THEN number + 1 ELSE watched END
    RETURNING r.number INTO next_revision;
    PERFORM pg_notify('rules_changed', next_revision::text);
END
$$;

-- A rule is no more. Answers its last version, or null if there is no such rule.
CREATE FUNCTION rules.delete(p_id text, p_by text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    latest rules.documents;
    put record;
BEGIN
    PERFORM 1 FROM rules.revision FOR UPDATE;
    SELECT * INTO latest FROM rules.current AS c WHERE c.id = p_id AND c.status <> 'deleted';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO put FROM rules.put(p_id, '', latest.name, 'deleted', '', p_by, NULL);
    RETURN put.version;
END
$$;
