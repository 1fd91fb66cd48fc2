"""Rules that come as files in ``RULES_DIR``, put at the start."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from services.rule_evaluator.document import Rule, parse_document
from services.rule_evaluator.store import Put
from shared.errors import StartError

log = structlog.get_logger()

BY = "RULES_DIR"
SUFFIXES = (".yaml", ".yml", ".json")


class Puts(Protocol):
    async def put(self, rule: Rule, document: str, by: str, *, unless_put_by: str | None = None) -> Put: ...


class File(NamedTuple):
    """``errors`` name places in the file; without any there is a rule."""

    path: Path
    text: str = ""
    rule: Rule | None = None
    errors: tuple[str, ...] = ()


async def put_folder(folder: Path, store: Puts) -> None:
    """Put every rule of the folder that has changed since it was last put from there, so that a restart does not undo
    what an operator changed since. A flawed file is logged and left out. Raises ``StartError`` if there is no folder."""
    for file in read_folder(folder):
        if file.rule is None:
            log.error("rule_file_invalid", file=str(file.path), errors=file.errors)
            continue
        put = await store.put(file.rule, file.text, BY, unless_put_by=BY)
        if put.changed:
            log.info("rule_put", rule=file.rule.id, version=put.version, by=BY, file=str(file.path))


def read_folder(folder: Path) -> Iterator[File]:
    """The rule files in the order of their names."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        raise StartError(f"RULES_DIR: cannot read folder {str(folder)!r}: {error.strerror}") from None
    given: dict[str, Path] = {}
    for path in paths:
        file = _read(path)
        if file.rule is not None and (other := given.setdefault(file.rule.id, path)) != path:
            file = File(path, errors=(f"id: {file.rule.id} is given by {other.name} already",))
        yield file


def _read(path: Path) -> File:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return File(path, errors=(f"cannot be read: {error}",))
    rule, errors, _ = parse_document(text)
    return File(path, text, rule, tuple(errors))
