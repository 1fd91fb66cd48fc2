"""``beckon dkim new DOMAIN``: keys for signing mails, and what to publish of them. Needs no server."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from services.cli.failure import Failure
from services.cli.output import Json, print_json, say
from shared import dkim
from shared.dkim import GOOD_BITS, DkimKey

app = typer.Typer(no_args_is_help=True)


class Type(StrEnum):
    RSA = "rsa"
    ED25519 = "ed25519"


@app.callback()
def keys() -> None:
    """Keys that sign mails."""


@app.command()
def new(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain of MAIL_FROM.")],
    types: Annotated[list[Type], typer.Option("--type", help="May be given twice. [default: both]")] = [],  # noqa: B006
    selector: Annotated[
        str, typer.Option(help="What the names of the records begin with; a new one for new keys.")
    ] = "beckon",
    out: Annotated[Path, typer.Option(help="The file for the private keys, for DKIM_KEYS_FILE.")] = Path("dkim.keys"),
    as_json: Json = False,
) -> None:
    """Make keys, and print the DNS records to publish. The private keys go to a file that only its owner can read."""
    try:
        domain = dkim.domain(domain)
        made = [_key(dkim.selector(f"{selector}-{type_.value}"), type_) for type_ in types or Type]
    except ValueError as error:
        raise Failure(f"dkim new: {error}", code=2) from None
    _write(out, made)
    records = [_record(domain, key) for key in made]
    if as_json:
        print_json({"file": str(out), "records": records})
        return
    say(f"The private keys are in {out}: give it to the mailer as DKIM_KEYS_FILE once these records are published.\n")
    for found in records:
        say(f"{found['name']}. TXT {dkim.in_zone(found['value'])}\n")


def _key(selector: str, type_: Type) -> DkimKey:
    return DkimKey(
        selector, generate_private_key(65537, GOOD_BITS) if type_ is Type.RSA else Ed25519PrivateKey.generate()
    )


def _record(domain: str, key: DkimKey) -> dict[str, Any]:
    return {"name": f"{key.selector}._domainkey.{domain}", "type": "TXT", "value": dkim.record(key)}


def _write(path: Path, made: list[DkimKey]) -> None:
    """Keys that are in use are never written over."""
    text = ",\n".join(dkim.written(key) for key in made) + "\n"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"{path}: is there already; choose another name with --out", code=2) from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=2) from None
