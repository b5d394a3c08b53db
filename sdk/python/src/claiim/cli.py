"""``python -m claiim``: the gate for a shell.

Exit status: 0 ALLOW, or done; 1 DENY; 2 the call is wrong; 3 there is no answer.
So ``python -m claiim check deploy-bot deploy:staging api-v2 && ./deploy`` deploys
on ALLOW only.  The token comes from CLAIIM_TOKEN or the file in
CLAIIM_TOKEN_FILE, never from the command line, which other users can read.
"""

import argparse
import dataclasses
import json
import re
import sys
from datetime import timedelta
from typing import Any, List, Optional

from claiim.errors import Denied, GateError, GateMisuse, SessionNotActive
from claiim.gate import Gate
from claiim.guards.claude_code import BLOCKED, HookMap, run_hook
from claiim.results import Decision, Permission

DONE = 0
DENIED = 1
MISUSE = 2
UNAVAILABLE = 3


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the command and returns its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        return status
    except GateError as error:
        print(f"claiim: {error}", file=sys.stderr)
        if isinstance(error, (Denied, SessionNotActive)):
            return DENIED
        return MISUSE if isinstance(error, GateMisuse) else UNAVAILABLE


def _gate(arguments: argparse.Namespace) -> Gate:
    return Gate(arguments.agent, dsn=arguments.dsn, timeout=arguments.timeout)


def _check(arguments: argparse.Namespace) -> int:
    decision = _gate(arguments).check(
        arguments.action, arguments.target, session=arguments.session, context=arguments.context
    )
    if arguments.json:
        print(json.dumps(dataclasses.asdict(decision), ensure_ascii=False, default=str))
    else:
        print(_line(decision))
    return DONE if decision.allowed else DENIED


def _line(decision: Decision) -> str:
    return f"{decision.outcome}  {decision.reason}  {decision.chron_id}"


def _complete(arguments: argparse.Namespace) -> int:
    print(_gate(arguments).complete(arguments.chron_id, arguments.status, arguments.detail))
    return DONE


def _permissions(arguments: argparse.Namespace) -> int:
    for permission in _gate(arguments).permissions():
        if arguments.json:
            print(json.dumps(dataclasses.asdict(permission), ensure_ascii=False, default=str))
        else:
            print(_permission_line(permission))
    return DONE


def _permission_line(permission: Permission) -> str:
    parts = [permission.action, f"on {permission.target or 'any target'}"]
    if permission.exceptions:
        parts.append(f"except {', '.join(permission.exceptions)}")
    if permission.condition:
        parts.append(f"needs {permission.condition}")
    return "  ".join([*parts, f"({permission.policy})"])


def _request_session(arguments: argparse.Namespace) -> int:
    gate = _gate(arguments)
    session = gate.request_session(
        arguments.actions,
        arguments.targets,
        arguments.reason,
        ticket=arguments.ticket,
        valid_for=arguments.valid_for,
        max_uses=arguments.max_uses,
    )
    print(session, flush=True)
    if arguments.wait is not None:
        gate.wait_for_session(session, timeout=arguments.wait)
    return DONE


def _hook(arguments: argparse.Namespace) -> int:
    try:
        return run_hook(_gate(arguments), HookMap.read(arguments.map), sys.stdin, sys.stderr)
    except Exception as error:
        # Any other status would let the tool run.
        print(f"claiim: {error}", file=sys.stderr)
        return BLOCKED


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError("a number and s, m, h or d, such as 30m")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    return timedelta(**{unit: int(match[1])})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m claiim",
        description="Ask the gate before acting.",
        epilog="Exit status: 0 ALLOW, or done; 1 DENY; 2 the call is wrong; 3 there is no answer."
        " The token is taken from CLAIIM_TOKEN or from the file in CLAIIM_TOKEN_FILE,"
        " and where the gate is from --dsn, CLAIIM_DSN or libpq's own environment (PGHOST, ...).",
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dsn", help="where the gate is, as a libpq connection string; without a password")
    common.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="for all of it (5)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, agent: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=text, description=text, allow_abbrev=False)
        added.set_defaults(run=run)
        if agent:
            added.add_argument("agent", metavar="AGENT")
        return added

    check = command("check", _check, "may this agent do this, now?")
    check.add_argument("action", metavar="ACTION")
    check.add_argument("target", metavar="TARGET")
    check.add_argument("--session", metavar="ID", help="an approved session")
    check.add_argument("--context", type=_json, metavar="JSON", help="what else to keep with the decision; at most 8192 bytes")
    check.add_argument("--json", action="store_true", help="all of the answer, as JSON")

    complete = command("complete", _complete, "record what became of an action that was allowed")
    complete.add_argument("chron_id", metavar="CHRON-ID")
    complete.add_argument("status", metavar="STATUS", help="succeeded, failed or cancelled")
    complete.add_argument("--detail", type=_json, metavar="JSON", help="more of it")

    permissions = command("permissions", _permissions, "what may this agent do?")
    permissions.add_argument("--json", action="store_true", help="one JSON object a line")

    request = command("request-session", _request_session, "ask humans for a session, and print its id")
    request.add_argument("--action", dest="actions", action="append", required=True, metavar="PATTERN")
    request.add_argument("--target", dest="targets", action="append", required=True, metavar="PATTERN")
    request.add_argument("--reason", required=True)
    request.add_argument("--ticket")
    request.add_argument("--valid-for", type=_duration, default=timedelta(hours=1), metavar="1h")
    request.add_argument("--max-uses", type=int, metavar="N")
    request.add_argument("--wait", type=float, metavar="SECONDS", help="until it is active")

    hook = command("hook", _hook, "be a hook of a coding agent; it blocks with status 2", agent=False)
    hook.add_argument("kind", choices=["claude-code"])
    hook.add_argument("--agent", required=True)
    hook.add_argument("--map", required=True, metavar="FILE", help="what to ask before which tool")
    return parser
