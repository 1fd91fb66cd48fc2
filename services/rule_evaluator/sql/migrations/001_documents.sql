-- Every version of every rule, as it was put. condition is its `when` in a form in which equal conditions are equal texts.
-- baseline: the version with which the rule last went live, or got another condition while live, at live_since; null: not live.
CREATE TABLE rules.documents (
    id         text NOT NULL,
    version    int NOT NULL,
    document   text NOT NULL,
    name       text NOT NULL,
    status     text NOT NULL CHECK (status IN ('draft', 'test', 'live', 'paused')),
    condition  text NOT NULL,
    baseline   int,
    live_since timestamptz,
    put_by     text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (id, version)
);

CREATE VIEW rules.current AS
SELECT DISTINCT ON (id) * FROM rules.documents ORDER BY id, version DESC;

-- One row. The number grows with every version; its lock makes puts wait for one another.
CREATE TABLE rules.revision (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL
);
INSERT INTO rules.revision (number) VALUES (0);

-- Store a document as a new version, unless it is the current one. What was put by p_unless_by is not put by it again until
-- it differs from what it put last: a file that is read at every start does not undo what an operator changed since.
CREATE FUNCTION rules.put(
    p_id text, p_document text, p_name text, p_status text, p_condition text, p_by text, p_unless_by text,
    OUT version int, OUT changed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    latest rules.documents;
    next_revision bigint;
    moment timestamptz;
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
    -- A rule that stays in the same live status with the same condition is the same rule to the people it watches.
    goes_on := coalesce(is_live AND latest.status = p_status AND latest.condition = p_condition, false);
    INSERT INTO rules.documents VALUES (
        p_id, version, p_document, p_name, p_status, p_condition,
        CASE WHEN goes_on THEN latest.baseline WHEN is_live THEN version END,
        CASE WHEN goes_on THEN latest.live_since WHEN is_live THEN moment END,
        p_by, moment
    );
    UPDATE rules.revision SET number = number + 1 RETURNING number INTO next_revision;
    PERFORM pg_notify('rules_changed', next_revision::text);
END
$$;
