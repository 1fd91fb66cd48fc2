-- What stands in braces is an identifier or a verifier made by the job itself; neither can be a parameter of such statements.

-- name: lock  Two jobs at once take turns, until the transaction ends
SELECT pg_advisory_xact_lock(hashtext('beckon.setup'));

-- name: database  Where we are, as an identifier
SELECT quote_ident(current_database());

-- name: superuser  Whether we may do everything
SELECT rolsuper FROM pg_roles WHERE rolname = current_user;

-- name: role  A role of that name, and whether it may do more than log in
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS privileged
FROM pg_roles
WHERE rolname = $1;

-- name: create_role  Without a privilege of any kind
CREATE ROLE {role};

-- name: allow_role  What it may do, and how long it may keep others waiting
ALTER ROLE {role} LOGIN PASSWORD '{verifier}';
ALTER ROLE {role} SET search_path = {role};
ALTER ROLE {role} SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE {role} SET lock_timeout = '5s';
ALTER ROLE {role} SET statement_timeout = '30s';

-- name: join_role  Who is no superuser must be a member of a role to make a schema for it
GRANT {role} TO CURRENT_USER;

-- name: schema_owner  No row if there is no such schema
SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = $1;

-- name: create_schema  Where one service keeps its tables
CREATE SCHEMA {role} AUTHORIZATION {role};

-- name: close_database  Nobody comes in who is not named
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- name: open_database  But not to make schemas or temporary tables
GRANT CONNECT ON DATABASE {database} TO {role};
