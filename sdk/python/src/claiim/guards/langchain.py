"""LangChain's tools, and so LangGraph's.

::

    tools = guard_tools(gate, {"deploy": Rule("deploy:staging", lambda a: a["service"])}, [deploy])
    agent = create_react_agent(model, tools)

What is guarded is the innermost function of a tool, which every way of calling
it ends in: ``invoke``, ``ainvoke``, ``run``, ``arun``, a ``ToolNode``.  The rule
sees the arguments as they were validated.  The tool that was passed in stays as
it was: hand the returned one to the agent, and only that.

A DENY is raised as :class:`ToolDenied`, which is a ``ToolException`` too if
LangChain is installed: with ``handle_tool_error=True`` on the tool the model is
told the reason instead.  An unreachable gate is raised as it is.
"""

import copy
import functools
import importlib
from typing import Any, Callable, List, Optional, Sequence, Type

from claiim.actions import Question, arguments_by_name, guarded, is_async_gate, is_coroutine_function
from claiim.errors import Denied, GateMisuse
from claiim.guards import Rule, Rules, rule_for


def _tool_exception() -> Any:
    try:
        return importlib.import_module("langchain_core.tools").ToolException
    except ImportError:
        return Exception


# The gate answered DENY, said in a way that LangChain knows how to tell a model.
ToolDenied: Type[Denied] = type("ToolDenied", (Denied, _tool_exception()), {"__module__": __name__})

# The classes of LangChain's whose _run and _arun call func and coroutine.
_OF_FUNCTIONS = ("Tool", "StructuredTool")
# What it passes beside the tool's own arguments.
_NOT_ARGUMENTS = ("run_manager", "callbacks")


def guard_tools(gate: Any, rules: Rules, tools: Sequence[Any]) -> List[Any]:
    """All of them, guarded; GateMisuse if one of them has no rule."""
    return [guard_tool(gate, rule_for(rules, tool.name), tool) for tool in tools]


def guard_tool(gate: Any, rule: Rule, tool: Any) -> Any:
    """A copy of the tool that asks the gate before it runs.

    :param gate: a :class:`claiim.Gate`, which serves both ways of calling a tool; or a
        :class:`claiim.AsyncGate`, with which it can be called asynchronously only.
    """
    if _owner(tool, "_run") in _OF_FUNCTIONS and _owner(tool, "_arun") in _OF_FUNCTIONS:
        return _guard_functions(gate, rule, tool)
    if not callable(getattr(tool, "_run", None)):
        raise GateMisuse(f"{tool!r} is not a LangChain tool")
    return _guard_methods(gate, rule, tool)


def _owner(tool: Any, method: str) -> Optional[str]:
    """The name of the class that this method of the tool is from."""
    return next((c.__name__ for c in type(tool).__mro__ if method in vars(c)), None)


def _guard_functions(gate: Any, rule: Rule, tool: Any) -> Any:
    """It calls ``coroutine`` if it has one and is awaited, else ``func``, in a thread if awaited."""
    guarded_tool = copy.copy(tool)
    for name in ("func", "coroutine"):
        function = getattr(tool, name, None)
        if function is not None:
            object.__setattr__(guarded_tool, name, _guard(gate, rule, function))
    return guarded_tool


def _guard_methods(gate: Any, rule: Rule, tool: Any) -> Any:
    """``_run``, and ``_arun`` unless that leads to ``_run`` anyway, which would ask twice."""
    kind: Any = type(tool)
    members = {"_run": _guard(gate, rule, kind._run, method=True)}
    owner = _owner(tool, "_arun")
    leads_to_run = owner == "BaseTool" or (
        owner in _OF_FUNCTIONS and getattr(tool, "coroutine", None) is None
    )
    if owner is not None and not leads_to_run:
        members["_arun"] = _guard(gate, rule, kind._arun, method=True)
    # A class of its own, for a model of pydantic takes no methods on an instance.
    members.update(__module__=kind.__module__, __qualname__=kind.__qualname__)
    guarded_tool = copy.copy(tool)
    object.__setattr__(guarded_tool, "__class__", type(kind)(kind.__name__, (kind,), members))
    return guarded_tool


def _guard(gate: Any, rule: Rule, function: Callable[..., Any], method: bool = False) -> Any:
    def make(*args: Any, **kwargs: Any) -> Question:
        arguments = arguments_by_name(function, args, kwargs)
        names = list(arguments)[1:] if method else list(arguments)
        return rule.question({name: arguments[name] for name in names if name not in _NOT_ARGUMENTS})

    if is_async_gate(gate) and not is_coroutine_function(function):
        return _refusing(function)
    return _told(guarded(gate, make)(function))


def _refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise GateMisuse("this tool is guarded by an AsyncGate: call it asynchronously")

    return refuse


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a DENY raised as LangChain knows it."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Denied as denied:
            raise ToolDenied(denied.decision) from None

    @functools.wraps(function)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Denied as denied:
            raise ToolDenied(denied.decision) from None

    return arun if is_coroutine_function(function) else run
