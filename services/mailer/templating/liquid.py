"""Liquid within limits: no template, and nothing that a person or a site sent, can hold the mailer up.

A rendering may use ``BUDGET_S`` of the processor, twice. The clock is looked at wherever work is done in pieces (a filter, a turn of
a loop, a part, some output), and no piece is larger than a few milliseconds, because texts, lists and numbers are bounded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from io import StringIO
from sys import getsizeof
from time import perf_counter, thread_time
from typing import Any, ClassVar, TextIO

from liquid import BoundTemplate, CachingDictLoader, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LoopIterationLimitError, OutputStreamLimitError, ResourceLimitError
from liquid.expression import Expression
from liquid.undefined import UNDEFINED

from services.mailer.locales import Reader
from services.mailer.templating import filters

BUDGET_S = 0.06
"""Twice: Python may collect its garbage at any time, which can take longer than this, and is no fault of the template's."""
TURNS = 10_000
"""Of a loop, with those around it."""
OUTPUT = 512 * 1024
"""Characters."""
MEMORY = 8 * 1024 * 1024
"""Bytes put into variables, one after the other or at once."""
REMOVED = ("tablerow", "echo", "liquid")
"""Tags: the first can be given endless ranges, the others show what is not seen to be shown where it stands."""
_LOOK = 2000


class Meter:
    """Processor time of this thread, so that a busy machine spoils no mail. To read that takes ten times as long as to read the
    wall's, and no more of it can have passed than of the wall's."""

    def __init__(self, clock: Callable[[], float] = thread_time, wall: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._wall = wall
        self._until = 0.0
        self._soonest = 0.0
        self._overruns = 0
        self._held = 0

    def start(self) -> None:
        self._until = self._clock() + BUDGET_S
        self._soonest = self._wall() + BUDGET_S
        self._overruns = 0
        self._held = 0

    def hold(self, size: int) -> None:
        self._held += size
        if self._held > MEMORY:
            raise ResourceLimitError(f"keeps more than {MEMORY:,} bytes in variables", token=None)

    def check(self) -> None:
        if self._wall() >= self._soonest:
            self._look()

    def _look(self) -> None:
        now = self._clock()
        if now > self._until:
            self._overruns += 1
            self._until = now + BUDGET_S
            if self._overruns == 2:
                raise ResourceLimitError(f"takes more than {2 * BUDGET_S * 1000:.0f} ms to fill in", token=None)
        self._soonest = self._wall() + self._until - now


class _Buffer(StringIO):
    """``room``: how much may still be written. The clock is looked at whenever it has shrunk by so much."""

    def __init__(self, meter: Meter, room: int) -> None:
        super().__init__()
        self._append = super().write
        self._meter = meter
        self._look_at = room - _LOOK
        self.room = room

    def write(self, text: str) -> int:
        self.room = room = self.room - len(text) - 1
        if room < self._look_at:
            self._look()
        return self._append(text)

    def _look(self) -> None:
        self._look_at = self.room - _LOOK
        if self.room < 0:
            raise OutputStreamLimitError(f"writes more than {OUTPUT:,} characters", token=None)
        self._meter.check()


class _Context(RenderContext):
    __slots__ = ()
    env: "Limited"

    def get(self, path: list[object], *, token: Any, default: object = UNDEFINED) -> object:
        """What most paths come to, fields of plain mappings, in half the time; the rest is left to Liquid."""
        value: Any = self.scope
        try:
            for name in path:
                value = value[name]
                if type(name) is not str or (type(value) is not dict and name is not path[-1]):
                    break
            else:
                return value
        except (KeyError, TypeError, IndexError):
            pass
        return super().get(path, token=token, default=default)

    def filter(self, name: str, token: Any) -> Any:
        self.env.meter.check()
        return self.env.ready.get(name) or super().filter(name, token)

    def assign(self, key: str, val: Any) -> None:
        """Liquid would add up all variables at each."""
        self.locals[key] = val
        self.env.meter.hold(getsizeof(val))

    def extend(self, namespace: Mapping[str, object], template: BoundTemplate | None = None) -> Any:
        self.env.meter.check()
        return super().extend(namespace, template)

    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Any:
        forloop.it = self._turns(forloop.it)
        return super().loop(namespace, forloop)

    def _turns(self, things: Iterable[object]) -> Iterator[object]:
        for thing in things:
            self.env.meter.check()
            yield thing

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return _Buffer(self.env.meter, buf.room if isinstance(buf, _Buffer) else OUTPUT)


class _Template(BoundTemplate):
    context_class = _Context

    env: "Limited"

    def _get_buffer(self) -> StringIO:
        return _Buffer(self.env.meter, OUTPUT)

    def make_globals(self, render_args: Mapping[str, object]) -> Mapping[str, object]:
        return render_args


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
    """``reader``: of the rendering at hand. ``ready``: the filters as they are called."""

    loop_iteration_limit: ClassVar[int | None] = TURNS
    template_class = _Template

    def __init__(self, files: dict[str, str], meter: Meter, *, escape: bool) -> None:
        super().__init__(autoescape=escape, loader=CachingDictLoader(files, auto_reload=False))
        self.meter = meter
        self.reader = Reader()
        self.add_tag(_ForTag)
        for name in REMOVED:
            del self.tags[name]
        filters.register(self)
        self.ready = {
            name: partial(filter_, environment=self) if hasattr(filter_, "with_environment") else filter_
            for name, filter_ in self.filters.items()
            if not hasattr(filter_, "with_context")
        }

    def run(self, template: BoundTemplate, variables: Mapping[str, Any], reader: Reader) -> str:
        self.reader = reader
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
