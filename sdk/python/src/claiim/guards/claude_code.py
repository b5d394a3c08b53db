"""A hook that Claude Code calls before it uses a tool (PreToolUse).

It is given the tool's name and input as JSON, and asks the gate.  On ALLOW it
says nothing and exits with 0: the user's own permissions decide as ever.  On
anything else, a DENY, an unreachable gate, a tool without a rule, it exits with
2, which blocks the tool, and says why on standard error, which the model reads.
In ``settings.json``::

    {"hooks": {"PreToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command":
        "python3 -m claiim hook claude-code --agent deploy-bot --map /etc/claiim/hook.json || exit 2"
    }]}]}}

``|| exit 2`` belongs there: a hook that cannot even be started fails with another
status, and that would let the tool run.

The map says what to ask.  Its first rule that fits counts; where none does, the
tool is blocked::

    {"rules": [
        {"tool": "Read", "ungoverned": true},
        {"tool": "Bash", "input": {"command": "make deploy-staging"},
         "action": "deploy:staging", "target": "api-v2"},
        {"tool": ["Write", "Edit"], "action": "file:write", "target": "{path:file_path}"},
        {"tool": "mcp__github__*", "action": "github:call", "target": "repo/{repo}", "context": ["title"]}
    ]}

``tool``
    a name, or several; ``*`` stands for any characters.
``input``
    fields of the tool's input and the regular expressions that they have to match as
    a whole.  A shell can do in one command what two rules forbid apart: prefer exact
    commands, and let the rest be asked for as what it is, any command.
``action``, ``target``
    what to ask.  In the target ``{field}`` is a field of the input, a text or a number;
    ``{path:field}`` is a file's real path, with links resolved, from the root.
``session``
    the id of an approved session.
``context``
    fields of the input to record with the decision, beside the tool's name.
``ungoverned``
    true: the tool runs without asking.

Keep the map, and the settings, where the agent cannot write.
"""

import fnmatch
import json
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, TextIO, Tuple

from claiim.actions import Question, SyncGate
from claiim.errors import GateError, GateMisuse

ALLOWED = 0
BLOCKED = 2

_KEYS = {"tool", "input", "action", "target", "session", "context", "ungoverned"}
_FIELD = re.compile(r"\{(path:)?(\w+)\}")


@dataclass(frozen=True)
class _Entry:
    """One rule of the map."""

    tools: Tuple[str, ...]
    patterns: Mapping[str, "re.Pattern[str]"]
    ungoverned: bool
    action: str
    target: str
    session: Optional[str]
    context: Tuple[str, ...]

    def fits(self, tool: str, given: Mapping[str, Any]) -> bool:
        return any(fnmatch.fnmatchcase(tool, pattern) for pattern in self.tools) and all(
            isinstance(given.get(name), str) and pattern.fullmatch(given[name])
            for name, pattern in self.patterns.items()
        )

    def question(self, tool: str, given: Mapping[str, Any], directory: str) -> Question:
        def field(match: "re.Match[str]") -> str:
            value = given.get(match[2])
            if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
                raise GateMisuse(f"the input of {tool} has no text in {match[2]!r}")
            if match[1]:
                return os.path.realpath(os.path.join(directory, str(value))).lstrip("/")
            return str(value)

        context: Dict[str, Any] = {name: given.get(name) for name in self.context}
        context["tool"] = tool
        return Question(self.action, _FIELD.sub(field, self.target), self.session, context)


class HookMap:
    """What to ask before which tool, as read from a map file."""

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._entries = tuple(entries)

    @classmethod
    def read(cls, path: str) -> "HookMap":
        """From a file; GateMisuse if there is anything in it that is not understood."""
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
            if not isinstance(document, dict) or set(document) != {"rules"}:
                raise ValueError('it is not {"rules": [...]}')
            return cls([_entry(rule) for rule in document["rules"]])
        except (OSError, ValueError, TypeError, re.error) as error:
            raise GateMisuse(f"the map {path} cannot be used: {error}") from None

    def question(self, event: Mapping[str, Any]) -> Optional[Question]:
        """What to ask before this use of a tool; None: nothing, it is not governed."""
        tool, given = event.get("tool_name"), event.get("tool_input")
        if event.get("hook_event_name") != "PreToolUse" or not isinstance(tool, str):
            raise GateMisuse("this is not what Claude Code says before it uses a tool")
        if not isinstance(given, dict):
            raise GateMisuse(f"the input of {tool} is not an object")
        for entry in self._entries:
            if entry.fits(tool, given):
                if entry.ungoverned:
                    return None
                return entry.question(tool, given, str(event.get("cwd") or os.getcwd()))
        raise GateMisuse(f"no rule of the map fits this use of {tool}")


def _entry(rule: Any) -> _Entry:
    if not isinstance(rule, dict) or not set(rule) <= _KEYS:
        raise ValueError(f"not a rule, or one with an unknown key: {rule}")
    ungoverned = rule.get("ungoverned", False)
    governed = ("action", "target") if not ungoverned else ()
    texts = [rule[key] for key in ("action", "target", "session") if key in rule]
    patterns = rule.get("input", {})
    if (
        not isinstance(ungoverned, bool)
        or not isinstance(patterns, dict)
        or not all(isinstance(text, str) for text in texts)
    ):
        raise ValueError(f"a value of the wrong type: {rule}")
    if not rule.get("tool"):
        raise ValueError(f"a rule for no tool: {rule}")
    if any(key not in rule for key in governed) or (ungoverned and texts):
        raise ValueError(f"either ungoverned, or with action and target: {rule}")
    if re.search(r"[{}]", _FIELD.sub("", rule.get("target", ""))):
        raise ValueError(f"a brace that is not part of a field: {rule}")
    return _Entry(
        tools=tuple(_texts(rule["tool"])),
        patterns={name: re.compile(pattern) for name, pattern in patterns.items()},
        ungoverned=ungoverned,
        action=rule.get("action", ""),
        target=rule.get("target", ""),
        session=rule.get("session"),
        context=tuple(_texts(rule.get("context", []))),
    )


def _texts(value: Any) -> List[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"neither a text nor a list of texts: {value}")
    return texts


def run_hook(gate: SyncGate, hook_map: HookMap, given: TextIO, told: TextIO) -> int:
    """One call of the hook: the event from ``given``, why not to ``told``, the exit status.

    Whatever goes wrong blocks the tool.
    """
    try:
        event: Dict[str, Any] = json.load(given)
        if not isinstance(event, dict):
            raise GateMisuse("what the hook is given is not an object")
        question = hook_map.question(event)
        if question is None:
            return ALLOWED
        decision = gate.check(
            question.action, question.target, session=question.session, context=question.context
        )
        decision.require()
        return ALLOWED
    except GateError as error:
        told.write(f"claiim: {error}\n")
    except Exception as error:
        told.write(f"claiim: the hook failed, so the tool does not run: {type(error).__name__}: {error}\n")
    return BLOCKED
