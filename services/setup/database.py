"""PostgreSQL's part of the setup: a role and a schema of the same name for each service that has tables."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import structlog

from shared import db
from shared.errors import StartError

log = structlog.get_logger()

_Q = db.queries(Path(__file__).parent / "sql" / "queries.sql")
_NAMED = {"application_name": "beckon-setup"}
_ITERATIONS = 4096


async def prepare(url: str, passwords: Mapping[str, str]) -> None:
    """Make each role of ``passwords`` with its schema, in one transaction; repeating it only sets the passwords anew.

    Raises ``StartError`` where trying again will not help; what ``shared.db.AWAY`` names, or
    ``asyncpg.UniqueViolationError`` (a job on another database of this server was a moment faster), where it will.
    """
    try:
        connection = await asyncpg.connect(url, timeout=5, command_timeout=30, server_settings=_NAMED)
        try:
            async with connection.transaction():
                await connection.execute(_Q["lock"])
                database = await connection.fetchval(_Q["database"])
                superuser = await connection.fetchval(_Q["superuser"])
                await connection.execute(_Q["close_database"].format(database=database))
                for role, password in passwords.items():
                    await _prepare_role(connection, role, password, superuser=superuser)
                    await connection.execute(_Q["open_database"].format(database=database, role=role))
        finally:
            await connection.close(timeout=5)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartError(
            f"DATABASE_URL: {error.args[0]}; the setup needs a superuser, or the owner of the database with CREATEROLE"
        ) from None
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError, ValueError) as error:
        raise StartError(f"DATABASE_URL: {error}") from None


async def _prepare_role(connection: asyncpg.Connection, role: str, password: str, *, superuser: bool) -> None:
    found = await connection.fetchrow(_Q["role"], role)
    if found and found["privileged"]:
        raise StartError(f"role {role} is there already and may do more than log in; a service must not run with that")
    if not found:
        await connection.execute(_Q["create_role"].format(role=role))
    await connection.execute(_Q["allow_role"].format(role=role, verifier=scram_verifier(password)))
    log.info("role_prepared", role=role, outcome="kept, password set" if found else "created")
    if not superuser:
        await connection.execute(_Q["join_role"].format(role=role))
    owner = await connection.fetchval(_Q["schema_owner"], role)
    if owner is None:
        await connection.execute(_Q["create_schema"].format(role=role))
    elif owner != role:
        raise StartError(f"schema {role} is there already and belongs to {owner}; give it to role {role}, or rename it")
    log.info("schema_prepared", schema=role, outcome="kept" if owner else "created")


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores of an ASCII password (RFC 5803), so that the password itself never comes into its log."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
