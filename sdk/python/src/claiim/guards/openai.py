"""Function calls as the OpenAI API returns them, and others do in its likeness.

::

    message = client.chat.completions.create(...).choices[0].message
    messages.append(message)
    messages += run_tool_calls(gate, rules, functions, message.tool_calls)

Each call is asked for on its own, and gets an answer for the model: what the
function returned, or why it did not run.  A DENY is such an answer, and so are
arguments that do not fit and a function that failed: the model may do something
else.  If the gate cannot be reached nothing can go on, and that is raised.
"""

import json
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from claiim.actions import is_coroutine_function
from claiim.errors import Denied, GateError, GateMisuse
from claiim.guards import BadArguments, Rules, rule_for, tool

Functions = Mapping[str, Callable[..., Any]]
Message = Dict[str, Any]


def run_tool_calls(
    gate: Any, rules: Rules, functions: Functions, tool_calls: Optional[Iterable[Any]]
) -> List[Message]:
    """Runs what is allowed of these calls, one after the other.

    :param gate: a :class:`claiim.Gate`.
    :param rules: by the functions' names; each function needs one.
    :param functions: by name, called with the arguments that the model gave.
    :param tool_calls: of the model's message, as objects or dictionaries; None: no calls.
    :return: a message of role ``tool`` for each, in their order.
    :raises GateUnavailable: this call, and those after it, did not run.
    """
    guarded = _guarded(gate, rules, functions)
    messages = []
    for call in tool_calls or ():
        try:
            function, arguments = _chosen(guarded, call)
            content = _content(function(**arguments))
        except Exception as error:
            content = _told(error)
        messages.append(_message(call, content))
    return messages


async def run_tool_calls_async(
    gate: Any, rules: Rules, functions: Functions, tool_calls: Optional[Iterable[Any]]
) -> List[Message]:
    """The same for coroutine functions.

    :param gate: a :class:`claiim.AsyncGate`; or a :class:`claiim.Gate`, with which the
        functions can be of both kinds.
    """
    guarded = _guarded(gate, rules, functions)
    messages = []
    for call in tool_calls or ():
        try:
            function, arguments = _chosen(guarded, call)
            result = function(**arguments)
            content = _content(await result if is_coroutine_function(function) else result)
        except Exception as error:
            content = _told(error)
        messages.append(_message(call, content))
    return messages


def _guarded(gate: Any, rules: Rules, functions: Functions) -> Functions:
    return {name: tool(gate, rule_for(rules, name))(function) for name, function in functions.items()}


def _chosen(functions: Functions, call: Any) -> Tuple[Callable[..., Any], Dict[str, Any]]:
    chosen = _part(call, "function")
    name, text = _part(chosen, "name"), _part(chosen, "arguments")
    function = functions.get(name) if isinstance(name, str) else None
    if function is None:
        raise BadArguments(f"there is no function {name!r}")
    try:
        arguments = json.loads(text or "{}")
    except (TypeError, ValueError):
        raise BadArguments(f"the arguments of {name} are not JSON") from None
    if not isinstance(arguments, dict):
        raise BadArguments(f"the arguments of {name} are not an object")
    return function, arguments


def _part(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _message(call: Any, content: str) -> Message:
    return {"role": "tool", "tool_call_id": _part(call, "id"), "content": content}


def _content(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


def _told(error: Exception) -> str:
    """What the model is told; raises what it can do nothing about."""
    if isinstance(error, Denied):
        told = {"error": "denied", "reason": error.reason, "chron_id": error.chron_id}
    elif isinstance(error, BadArguments) or _is_malformed(error):
        told = {"error": "bad arguments", "reason": str(error)}
    elif isinstance(error, GateError):
        raise error
    else:
        told = {"error": "failed", "reason": f"{type(error).__name__}: {error}"}
    return json.dumps(told, ensure_ascii=False)


def _is_malformed(error: Exception) -> bool:
    """A name that the gate does not take, made from what the model gave."""
    return isinstance(error, GateMisuse) and (error.sqlstate or "")[:2] == "22"
