-- Instants travel as microseconds since the epoch and are exact in both directions.
CREATE FUNCTION state.at(micros bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond';

CREATE FUNCTION state.micros(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (extract(epoch FROM moment) * 1000000)::bigint;

-- Who reads which partition, and how far. The checkpoint moves only in state.commit, together with what was read.
CREATE TABLE state.partitions (
    id int PRIMARY KEY,
    owner text,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    checkpoint bigint NOT NULL DEFAULT 0,
    checkpoint_time timestamptz
) WITH (fillfactor = 50);

CREATE TABLE state.members (
    owner text PRIMARY KEY,
    seen_until timestamptz NOT NULL
);

-- One row a person. next_due is a lower bound of the next instant at which a rule's truth can change.
CREATE TABLE state.actors (
    partition int NOT NULL,
    person text NOT NULL,
    remembered bytea NOT NULL,
    next_due timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, person)
) WITH (fillfactor = 75);
CREATE INDEX actors_due ON state.actors (partition, next_due) WHERE next_due IS NOT NULL;

-- Every event, once, for back-tests, explanations and the people who query.
CREATE TABLE state.events (
    person text NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    happened_at timestamptz NOT NULL,
    arrived_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    source text NOT NULL,
    trusted boolean NOT NULL,
    user_id text,
    anonymous_id text,
    properties jsonb NOT NULL,
    context jsonb NOT NULL,
    PRIMARY KEY (person, id)
);

-- The outbox, and the fate of each trigger once its outcome came back as an event.
CREATE TABLE state.triggers (
    id text PRIMARY KEY,
    partition int NOT NULL,
    person text NOT NULL,
    rule text NOT NULL,
    version int NOT NULL,
    fired_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    message bytea NOT NULL,
    published_at timestamptz,
    outcome text,
    reason text,
    outcome_at timestamptz
);
CREATE INDEX triggers_unpublished ON state.triggers (partition) WHERE published_at IS NULL;
CREATE INDEX triggers_of_person ON state.triggers (person, fired_at);

-- The one write of the actor loop: fence, checkpoint, actors, events, triggers, fates. All or nothing, in one call, so that
-- no client stands inside an open transaction. Statements without rows are run as well: they cost microseconds, and so an
-- empty commit has everything planned beforehand. BK001 is raised if any partition is no longer held in the given epoch.
CREATE FUNCTION state.commit(
    p_owner text,
    p_ids int[], p_epochs bigint[], p_checkpoints bigint[], p_times bigint[],
    a_partitions int[], a_people text[], a_remembered bytea[], a_due bigint[],
    e_people text[], e_ids text[], e_names text[], e_happened bigint[], e_arrived bigint[], e_sequences bigint[],
    e_sources text[], e_trusted boolean[], e_users text[], e_anonymous text[], e_properties text[], e_contexts text[],
    t_ids text[], t_partitions int[], t_people text[], t_rules text[], t_versions int[], t_fired bigint[], t_messages bytea[],
    f_ids text[], f_outcomes text[], f_reasons text[], f_at bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held int;
BEGIN
    -- In the order of ids, as everywhere, so that a commit and a renewal never wait for each other in a circle.
    PERFORM 1 FROM state.partitions WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE;
    UPDATE state.partitions AS p
    SET checkpoint = n.checkpoint, checkpoint_time = coalesce(state.at(n.time), p.checkpoint_time)
    FROM unnest(p_ids, p_epochs, p_checkpoints, p_times) AS n (id, epoch, checkpoint, time)
    WHERE p.id = n.id AND p.owner = p_owner AND p.epoch = n.epoch;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(p_ids) THEN
        RAISE EXCEPTION 'fenced: % of % partitions are held by %', held, cardinality(p_ids), p_owner
            USING ERRCODE = 'BK001';
    END IF;

    INSERT INTO state.actors AS a (partition, person, remembered, next_due)
    SELECT n.partition, n.person, n.remembered, state.at(n.due)
    FROM unnest(a_partitions, a_people, a_remembered, a_due) AS n (partition, person, remembered, due)
    ON CONFLICT (partition, person) DO UPDATE
    SET remembered = excluded.remembered, next_due = excluded.next_due, updated_at = now();

    INSERT INTO state.events
    SELECT person, id, name, state.at(happened), state.at(arrived), sequence, source, trusted,
           user_id, anonymous_id, properties::jsonb, context::jsonb
    FROM unnest(e_people, e_ids, e_names, e_happened, e_arrived, e_sequences, e_sources, e_trusted,
                e_users, e_anonymous, e_properties, e_contexts)
        AS n (person, id, name, happened, arrived, sequence, source, trusted, user_id, anonymous_id, properties, context)
    ON CONFLICT (person, id) DO NOTHING;

    INSERT INTO state.triggers (id, partition, person, rule, version, fired_at, message)
    SELECT id, partition, person, rule, version, state.at(fired), message
    FROM unnest(t_ids, t_partitions, t_people, t_rules, t_versions, t_fired, t_messages)
        AS n (id, partition, person, rule, version, fired, message)
    ON CONFLICT (id) DO NOTHING;

    UPDATE state.triggers AS t
    SET outcome = n.outcome, reason = n.reason, outcome_at = state.at(n.at)
    FROM unnest(f_ids, f_outcomes, f_reasons, f_at) AS n (id, outcome, reason, at)
    WHERE t.id = n.id;
END
$$;
