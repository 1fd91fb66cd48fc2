"""The ``beckon`` command: asks and changes through the services, over NATS, as the operator.

Exit codes: 0 done, 1 it could not be done (one line says why), 2 wrong usage or configuration.
"""

import sys

import typer
from rich.console import Console

from services.cli import (
    catalogue,
    coupons,
    dead,
    dkim,
    explain,
    importing,
    policy,
    results,
    rules,
    simulate,
    suppress,
    webhooks,
)
from services.cli.failure import Failure

app = typer.Typer(
    help="Operate Beckon. NATS_URL says where it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(rules.app, name="rules", help="Rule documents.")
app.add_typer(policy.app, name="policy", help="What the throttle allows.")
app.add_typer(coupons.app, name="coupons", help="Coupons and their codes.")
app.add_typer(dead.app, name="dead", help="Messages that were put aside because nobody could handle them.")
app.add_typer(dkim.app, name="dkim", help="Keys that sign mails.")
app.add_typer(catalogue.app, name="catalogue", help="What the shop sells.")
app.add_typer(webhooks.app, name="webhooks", help="Calls of endpoints: what became of them, and sending them again.")
app.command("suppress")(suppress.suppress)
app.command("results")(results.results)
app.command("explain")(explain.explain)
app.command("import")(importing.command)
app.command("simulate")(simulate.simulate)


def main() -> None:
    try:
        app(prog_name="beckon")
    except Failure as failure:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"beckon: {failure}", markup=False)
        sys.exit(failure.code)
