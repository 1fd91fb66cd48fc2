"""What the demo prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from services.local.demo.judge import percentile
from services.local.demo.play import Expectation
from services.local.demo.scenarios import CROWD
from services.local.inbox.mailbox import Summary
from shared.clock import MILLISECOND, Duration, to_datetime

_CROWD = {shopper.email for shopper in CROWD}
_SHOWN_PROBLEMS = 5
_STAGES = {"committed": "fired", "decided": "decided", "verified": "verified", "accepted": "SMTP accepted"}


class Show:
    def __init__(self, out: Console) -> None:
        self._out = out

    def mail(self, mail: Summary) -> None:
        """A line for each mail as it comes."""
        late = "" if mail.latency_ms is None else f"{mail.latency_ms:6.0f} ms after due"
        line = Text.assemble(
            (to_datetime(mail.received_us).strftime("  %H:%M:%S.%f")[:-3], "dim"),
            f"  {late}  ",
            (f"{', '.join(mail.recipients):<22}", "dim" if mail.recipients[0] in _CROWD else "cyan"),
            mail.subject,
        )
        self._out.print(line, soft_wrap=True)

    def expectations(self, expectations: Sequence[Expectation]) -> None:
        self._out.print()
        for one in expectations:
            mark = "[bold red]✗[/]" if one.problems else "[bold green]✓[/]"
            self._out.print(f"  {mark} [bold]{one.who:<8}[/] {one.what}", soft_wrap=True)
            for problem in one.problems[:_SHOWN_PROBLEMS]:
                self._out.print(Text(f"      {problem}", "red"), soft_wrap=True)

    def figures(self, counts: Mapping[str, int], stamps: Sequence[Mapping[str, Any]]) -> None:
        """The conservation sum, and what each mail took. ``stamps`` are those of the mails that were sent."""
        total = sum(counts.values())
        parts = " + ".join(f"{count} {name}" for name, count in counts.items() if count or name != "lost")
        self._out.print(f"\n  {total} triggers = {parts}\n", soft_wrap=True)
        self._percentiles("timer lateness", [each["committed"] - each["due"] for each in stamps if each["timer"]])
        for stage, name in _STAGES.items():
            self._percentiles(f"due → {name}", [each[stage] - each["due"] for each in stamps if each.get(stage)])

    def _percentiles(self, name: str, durations: Sequence[Duration]) -> None:
        if durations:
            p50, p99 = (percentile(durations, share) / MILLISECOND for share in (0.5, 0.99))
            self._out.print(f"  {name:<20} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   {len(durations)} mails")
