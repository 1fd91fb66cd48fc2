"""Templates as folders: ``<folder>/<template>/{subject,preheader,mjml,html,text}.liquid`` and ``<folder>/_parts/…``."""

import re
from collections.abc import Mapping
from pathlib import Path

from services.mailer.templating.places import Flaw, Flawed
from services.mailer.templating.template import FILES, NAME, PARTS

_USED = re.compile(r"_parts/[\w.-]+")


def names(folder: Path) -> list[str]:
    """The templates of a folder. Raises ``OSError``."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and NAME.fullmatch(path.name))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Of every file when it was changed and how large it is: what tells cheaply that something was changed."""
    found = {}
    for path in sorted(folder.glob("*/*")):
        stat = path.stat()
        found[str(path)] = (stat.st_mtime_ns, stat.st_size)
    return found


def bundle(folder: Path, name: str) -> dict[str, str]:
    """The files of a template with the parts it uses, so that it needs nothing else. Raises ``Flawed``."""
    files = {file: _read(folder / name / file, f"{name}/{file}") for file in FILES if (folder / name / file).is_file()}
    wanted = _parts(files)
    while missing := [part for part in wanted if part not in files and (folder / part).is_file()]:
        files |= {part: _read(folder / part, part) for part in missing}
        wanted = _parts(files)
    return files


def _parts(files: Mapping[str, str]) -> set[str]:
    return {part for text in files.values() for part in _USED.findall(text) if part.startswith(PARTS)}


def _read(path: Path, shown: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Flawed([Flaw(shown, 0, 0, f"cannot be read: {error}")]) from None
