"""Guards for what agents are built with.

A model chooses a tool by name and fills in its arguments.  A guard stands
between that choice and the tool: it asks the gate, runs the tool on ALLOW only,
and records the outcome.  What is asked is said by a :class:`Rule`: the tool's
arguments in, action and target out.

- :func:`tool`: any function
- :mod:`claiim.guards.mcp`: Model Context Protocol, on either side
- :mod:`claiim.guards.langchain`: LangChain and LangGraph
- :mod:`claiim.guards.openai`: function calls as the OpenAI API returns them
- :mod:`claiim.guards.claude_code`: a hook that Claude Code calls before a tool

None of these needs its framework to be installed to be imported.  A tool
without a rule does not run, and a rule that cannot make out what to ask is an
error, not a question about something else.
"""

from dataclasses import dataclass
from typing import Any, Callable, List, Mapping, TypeVar, Union

from claiim.actions import Question, arguments_by_name, guarded
from claiim.errors import GateMisuse

F = TypeVar("F", bound=Callable[..., Any])

Arguments = Mapping[str, Any]


class BadArguments(GateMisuse):
    """A model called a tool with what does not fit the tool, or its rule."""


@dataclass(frozen=True)
class Rule:
    """What to ask the gate before a tool runs.

    Each part is a constant, or a function of the tool's arguments by their names.
    Name the very thing that the tool is going to touch: what is asked about and what
    is acted on have to be the same.
    """

    action: Union[str, Callable[[Arguments], Any]]
    target: Union[str, Callable[[Arguments], Any]]
    session: Union[None, str, Callable[[Arguments], Any]] = None
    context: Any = None

    def question(self, arguments: Arguments) -> Question:
        """The question for a call with these arguments."""
        parts = (self.action, self.target, self.session, self.context)
        try:
            made: List[Any] = [part(arguments) if callable(part) else part for part in parts]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadArguments(
                f"these arguments do not fit the tool's rule: {type(error).__name__}: {error}"
            ) from error
        action, target, session, context = made
        return Question(action, target, session, context)


Rules = Mapping[str, Rule]


def rule_for(rules: Rules, name: str) -> Rule:
    """The rule for a tool; GateMisuse if there is none: then it does not run."""
    rule = rules.get(name)
    if rule is None:
        raise GateMisuse(f"there is no rule for tool {name!r}: it does not run")
    return rule


def tool(gate: Any, rule: Rule) -> Callable[[F], F]:
    """Guards a function; its name, documentation and signature stay what they were::

        @tool(gate, Rule("ticket:tag", target=lambda a: f"support/tickets/{a['ticket']}"))
        def tag(ticket: int, tag: str) -> None: ...

    :param gate: a :class:`claiim.Gate`; or, for coroutine functions, a :class:`claiim.AsyncGate`.
    """

    def decorate(function: F) -> F:
        def make(*args: Any, **kwargs: Any) -> Question:
            try:
                arguments = arguments_by_name(function, args, kwargs)
            except TypeError as error:
                raise BadArguments(f"these arguments do not fit the tool: {error}") from None
            return rule.question(arguments)

        return guarded(gate, make)(function)

    return decorate
