"""Liquid within limits: no template, and nothing that a person or a site sent, can hold the mailer up.

A rendering may use ``BUDGET_S`` of the processor. The clock is looked at wherever work is done in pieces (a filter, a turn of
a loop, a part, some output), and no piece is larger than a few milliseconds, because texts, lists and numbers are bounded.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from io import StringIO
from time import thread_time
from typing import Any, ClassVar, TextIO

from liquid import BoundTemplate, CachingDictLoader, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LoopIterationLimitError, OutputStreamLimitError, ResourceLimitError
from liquid.expression import Expression

from services.mailer.locales import Reader
from services.mailer.templating import filters

BUDGET_S = 0.1
TURNS = 10_000
"""Of a loop, with those around it."""
OUTPUT = 512 * 1024
"""Characters."""
_OFTEN = 32
"""Pieces of output between two looks at the clock, which costs 0.3 µs."""


class Meter:
    """Processor time of this thread, not the wall's: a busy machine spoils no mail."""

    def __init__(self) -> None:
        self._until = 0.0

    def start(self) -> None:
        self._until = thread_time() + BUDGET_S

    def check(self) -> None:
        if thread_time() > self._until:
            raise ResourceLimitError(f"takes more than {BUDGET_S * 1000:.0f} ms to fill in", token=None)


class _Buffer(StringIO):
    def __init__(self, meter: Meter, room: int) -> None:
        super().__init__()
        self._meter = meter
        self._writes = 0
        self.room = room

    def write(self, text: str) -> int:
        self.room -= len(text)
        if self.room < 0:
            raise OutputStreamLimitError(f"writes more than {OUTPUT:,} characters", token=None)
        self._writes += 1
        if not self._writes % _OFTEN or len(text) > 1000:
            self._meter.check()
        return super().write(text)


class _Context(RenderContext):
    __slots__ = ()

    def filter(self, name: str, token: Any) -> Any:
        self.env.meter.check()  # type: ignore[attr-defined]
        return super().filter(name, token)

    def extend(self, namespace: Mapping[str, object], template: BoundTemplate | None = None) -> Any:
        self.env.meter.check()  # type: ignore[attr-defined]
        return super().extend(namespace, template)

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> AbstractContextManager[Any]:
        forloop.it = self._turns(forloop.it)
        return super().loop(namespace, forloop)

    def _turns(self, things: Iterable[object]) -> Iterator[object]:
        for thing in things:
            self.env.meter.check()  # type: ignore[attr-defined]
            yield thing

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return _Buffer(self.env.meter, buf.room if isinstance(buf, _Buffer) else OUTPUT)  # type: ignore[attr-defined]


class _Template(BoundTemplate):
    context_class = _Context

    def _get_buffer(self) -> StringIO:
        return _Buffer(self.env.meter, OUTPUT)  # type: ignore[attr-defined]


class _ForNode(ForNode):
    """Liquid would go through a range to its offset, or turn it around, before it counts the turns."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        things = self.expression.iterable
        if isinstance(things, RangeLiteral):
            numbers = things.evaluate(context)
            if numbers.stop - numbers.start > TURNS:
                raise LoopIterationLimitError("loop iteration limit reached", token=self.token)
        return super().render_to_output(context, buffer)


class _ForTag(ForTag):
    node_class = _ForNode


class Limited(Environment):
    """``reader`` and ``meter`` are those of the rendering at hand."""

    loop_iteration_limit: ClassVar[int | None] = TURNS
    local_namespace_limit: ClassVar[int | None] = 1024 * 1024
    template_class = _Template

    def __init__(self, files: dict[str, str], *, escape: bool) -> None:
        super().__init__(autoescape=escape, loader=CachingDictLoader(files, auto_reload=False))
        self.meter = Meter()
        self.reader = Reader()
        self.add_tag(_ForTag)
        del self.tags["tablerow"]
        filters.register(self)

    def run(self, template: BoundTemplate, variables: Mapping[str, Any], reader: Reader) -> str:
        self.reader = reader
        self.meter.start()
        return template.render(variables)


def loose_ranges(template: BoundTemplate) -> Iterator[RangeLiteral]:
    """Ranges that are not what a loop goes through. As a value, ``(1..1000000000)`` is a list that never ends."""
    static = RenderContext(template)

    def within(expression: Expression) -> Iterator[RangeLiteral]:
        if isinstance(expression, RangeLiteral):
            yield expression
        for child in expression.children():
            if not (isinstance(expression, LoopExpression) and child is expression.iterable):
                yield from within(child)

    def nodes(some: Iterable[Node]) -> Iterator[Node]:
        for node in some:
            yield node
            yield from nodes(node.children(static, include_partials=False))

    for node in nodes(template.nodes):
        for expression in node.expressions():
            yield from within(expression)
