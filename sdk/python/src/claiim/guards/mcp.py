"""The Model Context Protocol: guards for both of its sides.

On the client's side, around ``ClientSession.call_tool``::

    call_tool = guard_call_tool(gate, rules, session.call_tool)
    await call_tool("deploy", {"service": "api-v2"})

The same fits a low-level server's handler, which has the same shape::

    @server.call_tool()
    @guarded_handler(gate, rules)
    async def handle(name, arguments): ...

And a tool of FastMCP is a function; :func:`claiim.guards.tool` goes beneath its
decorator, and leaves it the signature that it reads::

    @mcp.tool()
    @tool(gate, Rule("deploy:staging", target=lambda a: a["service"]))
    async def deploy(service: str) -> str: ...

A result that says that the tool failed (``isError``) is recorded as failed.
"""

from typing import Any, Callable, Mapping, Optional, Tuple, TypeVar

from claiim.actions import Question, guarded
from claiim.errors import GateMisuse
from claiim.guards import Rules, rule_for, tool

__all__ = ["guard_call_tool", "guarded_handler", "tool"]

F = TypeVar("F", bound=Callable[..., Any])


def guard_call_tool(gate: Any, rules: Rules, call_tool: F) -> F:
    """``call_tool(name, arguments, ...)``, asking the gate before each call.

    :param gate: a :class:`claiim.AsyncGate`, or a :class:`claiim.Gate`, which waits in threads.
    :param rules: by the tools' names; a tool without one does not run.
    """

    def make(name: str, arguments: Optional[Mapping[str, Any]] = None, *_: Any, **__: Any) -> Question:
        if arguments is not None and not isinstance(arguments, Mapping):
            raise GateMisuse(f"the arguments of tool {name!r} are not an object")
        return rule_for(rules, name).question(arguments or {})

    return guarded(gate, make, _outcome)(call_tool)


def guarded_handler(gate: Any, rules: Rules) -> Callable[[F], F]:
    """:func:`guard_call_tool` as a decorator, for a server's handler."""
    return lambda handler: guard_call_tool(gate, rules, handler)


def _outcome(result: Any) -> Optional[Tuple[str, Any]]:
    # isError in version 1 of the SDK, is_error in version 2.
    if getattr(result, "isError", None) or getattr(result, "is_error", None):
        return "failed", {"error": "the tool reported an error"}
    return None
