"""What the gate answers, as immutable values.

A column that a newer server adds does no harm; an answer that is not one of
the gate's is an error, and never an ALLOW.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple

from claiim.errors import Denied, GateError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """One answer to one question.

    It has no truth value on purpose: ``if gate.check(...)`` would be true for a
    DENY as well, as it is for any object.  Ask for ``.allowed``.
    """

    outcome: str
    """``ALLOW`` or ``DENY``."""
    reason: str
    """For people: ``source:name -- text``."""
    reason_code: str
    """For programs; the codes are stable."""
    rule: Optional[str]
    """The policy entry that decided, by its list and line."""
    chron_id: str
    """The record of this decision: keep it with what you do."""
    anchor: Optional[str]
    """The human who is accountable; None, as all below, if it was not proved who asks."""
    org: Optional[str]
    policy: Optional[str]
    skill: Optional[str]
    baseline: Optional[str]
    session: Optional[str]
    decided_at: datetime
    """When it was recorded."""
    agent: str
    """Who asked, as it was asked; so are action and target."""
    action: str
    target: str

    @property
    def allowed(self) -> bool:
        """True for ALLOW, and for nothing else."""
        return self.outcome == "ALLOW"

    def require(self) -> "Decision":
        """The decision itself if it is ALLOW; raises :class:`Denied` if not."""
        if not self.allowed:
            raise Denied(self)
        return self

    def __bool__(self) -> NoReturn:
        raise TypeError("a Decision is neither true nor false: use .allowed, or .outcome == 'ALLOW'")

    @classmethod
    def from_row(cls, row: Row, agent: str, action: str, target: str) -> "Decision":
        """From a row of claiim_check; GateError if it is not one of its answers."""
        texts = (row.get("reason"), row.get("reason_code"), row.get("chron_id"))
        if (
            row.get("outcome") not in ("ALLOW", "DENY")
            or not all(isinstance(text, str) and text for text in texts)
            or not isinstance(row.get("decided_at"), datetime)
        ):
            raise GateError("this is not an answer of the gate: the action must not run")
        known: Dict[str, Any] = {name: row.get(name) for name in _DECISION_COLUMNS}
        return cls(**known, agent=agent, action=action, target=target)


_DECISION_COLUMNS = (
    "outcome",
    "reason",
    "reason_code",
    "rule",
    "chron_id",
    "anchor",
    "org",
    "policy",
    "skill",
    "baseline",
    "session",
    "decided_at",
)


@dataclass(frozen=True)
class SessionStatus:
    """What has become of a session that was asked for."""

    session: str
    status: str
    """requested, granted, active, expired, used_up, refused, revoked or lapsed."""
    valid_from: Optional[datetime]
    valid_until: Optional[datetime]
    uses_left: Optional[int]
    """None: without limit."""
    approved_by: Optional[str]
    note: Optional[str]

    @property
    def active(self) -> bool:
        """Can it be used now?"""
        return self.status == "active"

    @property
    def pending(self) -> bool:
        """Can it still become active?"""
        return self.status in ("requested", "granted")

    @classmethod
    def from_row(cls, row: Row) -> "SessionStatus":
        """From the row of claiim_session_status."""
        columns = ("session", "status", "valid_from", "valid_until", "uses_left", "approved_by", "note")
        known: Dict[str, Any] = {name: row.get(name) for name in columns}
        return cls(**known)


@dataclass(frozen=True)
class Permission:
    """What the agent may do, as of now: actions that match, on targets that match.

    It is information, not a decision: ask the gate before each action.
    """

    action: str
    """A pattern."""
    target: Optional[str]
    """A pattern; None: any target of the agent's organization."""
    condition: Optional[str]
    """What else is needed, such as ``session``."""
    rule: Optional[str]
    policy: Optional[str]
    exceptions: Tuple[str, ...] = ()
    """Patterns of what is denied all the same."""
    org: Optional[str] = None
    """The organization that the targets have to belong to."""
    other: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Columns of a newer server that this version does not know."""

    @classmethod
    def from_row(cls, row: Row) -> "Permission":
        """From a row of claiim_permissions."""
        other: Dict[str, Any] = dict(row)
        known = {name: other.pop(name, None) for name in _PERMISSION_COLUMNS}
        exceptions = tuple(other.pop("exceptions", None) or ())
        return cls(**known, exceptions=exceptions, other=other)


_PERMISSION_COLUMNS = ("action", "target", "condition", "rule", "policy", "org")


def only(rows: List[Dict[str, Any]], expected: int) -> List[Dict[str, Any]]:
    """The rows, if there are as many as there have to be; GateError if not."""
    if len(rows) != expected:
        raise GateError(f"the gate gave {len(rows)} answers to {expected} questions: none of them counts")
    return rows
