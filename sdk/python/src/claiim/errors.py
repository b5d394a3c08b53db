"""What can go wrong.  Whatever is raised here, the action must not run.

::

    GateError
        Denied                the gate answered, and the answer is DENY
        GateUnavailable       there is no answer
            OutcomeUnknown    nor is it known whether the question was recorded
        GateMisuse            the call is wrong: correct it, do not repeat it
        SessionNotActive      humans have not approved the session, or it is over

No error carries a token, neither in its text nor in what it was caused by.
"""

from typing import TYPE_CHECKING, Any, Optional, Tuple

if TYPE_CHECKING:
    from claiim.results import Decision, SessionStatus

# Connections, a standby that may be promoted, not confirmed, too many, locked, shutting down
_PASSING = ("08", "25", "40", "53", "57", "55006", "55P03")


class GateError(Exception):
    """The base of all errors of this package.

    ``sqlstate`` is PostgreSQL's code where the server said one, else None.
    """

    def __init__(self, message: str, sqlstate: Optional[str] = None) -> None:
        super().__init__(message, sqlstate)
        self.message = message
        self.sqlstate = sqlstate

    def __str__(self) -> str:
        return f"{self.message} ({self.sqlstate})" if self.sqlstate else self.message


class Denied(GateError):
    """The gate answered DENY.  ``decision`` is its whole answer.

    Asking again does not help before a human has changed something.
    """

    def __init__(self, decision: "Decision") -> None:
        super().__init__(
            f"DENY {decision.action} on {decision.target}: {decision.reason} [{decision.chron_id}]"
        )
        self.decision = decision

    @property
    def reason(self) -> str:
        """Why, for people: ``source:name -- text``."""
        return self.decision.reason

    @property
    def reason_code(self) -> str:
        """Why, for programs; the codes are stable."""
        return self.decision.reason_code

    @property
    def chron_id(self) -> str:
        """The record of this decision in Chron."""
        return self.decision.chron_id

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self.decision,)


class GateUnavailable(GateError):
    """There is no answer: unreachable, too slow, or not able to record.

    Nothing was allowed.  Trying again after a moment may help, unless it is ``lasting``.
    """

    @property
    def lasting(self) -> bool:
        """Is the server not set up, or not well?  Then waiting does not help: tell its DBA."""
        state = self.sqlstate
        return state is not None and state[:2] not in _PASSING and state not in _PASSING


class OutcomeUnknown(GateUnavailable):
    """The question was sent, and no answer came back.

    It may have been recorded.  It was not answered, so the action must not run.
    """


class GateMisuse(GateError):
    """The call itself is wrong: an argument, the agent's rights, the settings."""


class SessionNotActive(GateError):
    """A session that was waited for did not become active.

    ``status`` is what the gate said of it last: ``status.status`` is
    ``requested`` or ``granted`` if the time to wait was over, else how it ended.
    """

    def __init__(self, status: "SessionStatus") -> None:
        note = f": {status.note}" if status.note else ""
        super().__init__(f"session {status.session} is {status.status}{note}")
        self.status = status

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self.status,)
