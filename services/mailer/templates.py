"""The templates in force: put by an operator or from a folder, filled in by every mail.

What counts is the table, the newest version of each name. ``TEMPLATES_DIR`` is one of those who put: when a file changes
there, and at the start if the folder is not as it was when it last put. So a restart undoes nothing that an operator put
since. Every process looks for newer versions twice a second.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from services.mailer.compose import Rendered
from services.mailer.template_store import DELETED, Put, Stored, TemplateStore
from services.mailer.templating.bundle import bundle, names, stamps
from services.mailer.templating.places import Flawed
from services.mailer.templating.template import Template, TemplateError
from shared import db
from shared.bus import describe
from shared.clock import Clock
from shared.errors import StartError

log = structlog.get_logger()

FROM_FOLDER = "TEMPLATES_DIR"
LOOK_EVERY_S = 0.5


class InForce(NamedTuple):
    version: int
    template: Template


class Filled(NamedTuple):
    rendered: Rendered
    version: int


class Templates:
    def __init__(self, store: TemplateStore, clock: Clock, folder: Path) -> None:
        """Raises ``StartError`` if there is no such folder."""
        if not folder.is_dir():
            raise StartError(f"TEMPLATES_DIR: {str(folder)!r} is not a folder")
        self._store = store
        self._clock = clock
        self._folder = folder
        self._stamps: dict[str, tuple[int, int]] = {}
        self._seen: dict[str, str] = {}
        self._known: dict[str, Stored] = {}
        self._made: dict[str, Template] = {}
        self._in_force: dict[str, InForce] = {}
        self.flaws: dict[str, str] = {}
        """Why a template cannot be used, by its name; an earlier version of it may be in force."""

    def find(self, name: str) -> InForce:
        """Raises ``TemplateError``."""
        found = self._in_force.get(name)
        if found is None:
            known = ", ".join(sorted(self._in_force)) or "none"
            raise TemplateError(self.flaws.get(name) or f"there is no template {name[:80]!r}; there are: {known}")
        return found

    async def put(self, template: Template, by: str) -> Put:
        self._made[template.name] = template
        put = await self._store.put(template.name, template.files, checksum(template.files), by, self._clock.now())
        if put.changed:
            log.info("template_put", template=template.name, version=put.version, by=by)
        return put

    async def delete(self, name: str, by: str) -> Put:
        """Nothing is changed if there is none."""
        put = await self._store.put(name, None, DELETED, by, self._clock.now())
        if put.changed:
            log.info("template_deleted", template=name, version=put.version, by=by)
        return put

    async def refresh(self) -> None:
        """Put what has changed in the folder, and follow what is in the table. Raises what ``db.AWAY`` lists."""
        await self._put_changed()
        for stored in await self._store.current():
            before = self._known.get(stored.name)
            if before is None or before.version != stored.version:
                await self._take(stored)
                self._known[stored.name] = stored

    async def follow(self) -> None:
        """For ever. While PostgreSQL is away the templates stay as they were."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.refresh()
            except (*db.AWAY, OSError) as error:
                log.warning("templates_not_followed", **describe(error))

    async def _take(self, stored: Stored) -> None:
        if stored.deleted:
            self._in_force.pop(stored.name, None)
            return
        template = self._made.pop(stored.name, None)
        if template is None or checksum(template.files) != stored.checksum:
            found = await self._store.get(stored.name, stored.version)
            assert found is not None, "versions are never deleted"
            template = await self._make(stored.name, found[1])
        if template is not None:
            self._in_force[stored.name] = InForce(stored.version, template)
            log.info("template_followed", template=stored.name, version=stored.version)

    async def _put_changed(self) -> None:
        now = await asyncio.to_thread(stamps, self._folder)
        if now == self._stamps:
            return
        for name in await asyncio.to_thread(names, self._folder):
            template = await self._read(name)
            if template is None:
                continue
            sum_ = checksum(template.files)
            if self._seen.get(name, await self._store.last_by(name, FROM_FOLDER)) != sum_:
                await self.put(template, FROM_FOLDER)
            self._seen[name] = sum_
        self._stamps = now

    async def _read(self, name: str) -> Template | None:
        try:
            files = await asyncio.to_thread(bundle, self._folder, name)
        except Flawed as flawed:
            self._tell(name, flawed)
            return None
        return await self._make(name, files)

    async def _make(self, name: str, files: Mapping[str, str]) -> Template | None:
        """None if it is flawed, which is told. Off the loop: it takes some 50 ms, in which mails wait."""
        try:
            template = await asyncio.to_thread(Template, name, files)
        except Flawed as flawed:
            self._tell(name, flawed)
            return None
        self.flaws.pop(name, None)
        return template

    def _tell(self, name: str, flawed: Flawed) -> None:
        self.flaws[name] = str(flawed)
        for flaw in flawed.flaws:
            log.error("template_flawed", template=name, flaw=str(flaw))


def checksum(files: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(files, order="sorted")).hexdigest()
