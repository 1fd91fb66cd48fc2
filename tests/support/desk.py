"""The command line as an operator uses it, and rules to use it on."""

import json
from pathlib import Path
from typing import Any

from tests.support.command import Ran, beckon
from tests.support.stack import ROOT, Stack

RULES = ROOT / "examples/rules"
CART = (RULES / "cart-abandonment.yaml").read_text(encoding="utf-8")
NOT_RUNNING = "beckon: the rule-evaluator does not answer: it is not running\n"


def looks(count: int, status: str = "draft") -> str:
    """Fires at the so many-th look at a product."""
    return (
        f"id: looks-{count}\nstatus: {status}\nwhen: {{event: product_viewed, count: {{gte: {count}}}}}\n"
        "action: {email: {template: t}}\n"
    )


class Desk:
    """Where a person sits, with the address of the servers and a folder of documents."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder

    async def beckon(self, *arguments: str) -> Ran:
        return await beckon(self.stack.nats.url("operator"), *arguments)

    async def says(self, *arguments: str) -> list[str]:
        """The lines of a command that must succeed."""
        ran = await self.beckon(*arguments)
        assert (ran.code, ran.err) == (0, "")
        return ran.out.splitlines()

    async def json(self, *arguments: str) -> Any:
        return json.loads("\n".join(await self.says(*arguments, "--json")))

    async def fails(self, *arguments: str) -> str:
        """The one line of a command that cannot be done."""
        ran = await self.beckon(*arguments)
        assert (ran.code, ran.out) == (1, "")
        return ran.err

    def write(self, document: str, name: str = "rule.yaml") -> str:
        path = self.folder / name
        path.write_text(document, encoding="utf-8")
        return str(path)

    async def apply(self, *documents: str) -> None:
        """One after the other."""
        files = [self.write(document, f"{number}.yaml") for number, document in enumerate(documents)]
        await self.says("rules", "apply", *files)

    async def back_test(self, *arguments: str) -> list[dict[str, Any]]:
        """One object a line."""
        ran = await self.beckon("rules", "backtest", *arguments, "--json")
        assert ran.code == 0, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]
