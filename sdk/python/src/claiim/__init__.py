"""claiim: ask the gate before your agent acts.

>>> from claiim import Gate
>>> gate = Gate(agent_id="deploy-bot", token="...")
>>> gate.check(action="deploy:staging", target="api-v2").outcome
'ALLOW'

:class:`Gate` is for threads, :class:`AsyncGate` for asyncio; :mod:`claiim.guards`
is for what agents are built with; ``python -m claiim --help`` for a shell.
"""

from claiim.actions import Action, AsyncAction
from claiim.aio import AsyncGate
from claiim.errors import (
    Denied,
    GateError,
    GateMisuse,
    GateUnavailable,
    OutcomeUnknown,
    SessionNotActive,
)
from claiim.gate import Gate
from claiim.results import Decision, Permission, SessionStatus

__version__ = "0.1.0"

__all__ = [
    "Action",
    "AsyncAction",
    "AsyncGate",
    "Decision",
    "Denied",
    "Gate",
    "GateError",
    "GateMisuse",
    "GateUnavailable",
    "OutcomeUnknown",
    "Permission",
    "SessionNotActive",
    "SessionStatus",
]
