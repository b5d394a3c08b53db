"""The statements that are sent, and nothing of how they get there.

Every value is a bound parameter, as text; nothing of it is ever in the SQL.
What libpq or PostgreSQL would cut off or refuse is refused here, before
anything is sent: a NUL would end the text, and the gate would be asked about a
shorter name than the one that is acted on.
"""

import enum
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Iterable, List, Optional, Sequence, Tuple, Union

from claiim._secret import Secret
from claiim.errors import GateMisuse

Parameter = Union[None, str, Secret]


class Effect(enum.Enum):
    """What a statement leaves behind, and so what may be done about a lost answer."""

    NONE = "it reads: repeat it"
    RECORD = "it leaves a record, and a second one does no harm: repeat it"
    ONCE = "a second one would be a second act: never repeat it"


@dataclass(frozen=True)
class Statement:
    """A statement, its parameters, and whether it may be repeated."""

    sql: str
    parameters: Tuple[Parameter, ...]
    effect: Effect

    def hide_secrets(self, text: str) -> str:
        """``text`` without any secret parameter in it."""
        for parameter in self.parameters:
            if isinstance(parameter, Secret):
                text = parameter.hide_in(text)
        return text


_CHECK = "SELECT * FROM claiim_check($1, $2, $3, token => $4, session => $5, context => $6)"
_CHECK_MANY = (
    "SELECT * FROM claiim_check_many($1, $2, $3, token => $4, session => $5, context => $6)"
    " WITH ORDINALITY ORDER BY ordinality"
)
_COMPLETE = "SELECT claiim_complete($1, $2, detail => $3, token => $4) AS chron_id"
_PERMISSIONS = "SELECT * FROM claiim_permissions($1, token => $2)"
_REQUEST_SESSION = (
    "SELECT claiim_request_session($1, $2, $3, $4, ticket => $5, valid_for => $6,"
    " max_uses => $7, token => $8) AS session"
)
_SESSION_STATUS = "SELECT * FROM claiim_session_status($1, $2, token => $3)"

COMPLETION_STATUSES = ("succeeded", "failed", "cancelled")


def check(
    agent: str, token: Optional[Secret], action: str, target: str, session: Optional[str], context: Any
) -> Statement:
    """One question."""
    return Statement(
        _CHECK,
        (
            _text("agent_id", agent),
            _text("action", action),
            _text("target", target),
            token,
            _optional("session", session),
            _json("context", context),
        ),
        Effect.RECORD,
    )


def check_many(
    agent: str,
    token: Optional[Secret],
    questions: Sequence[Tuple[str, str]],
    session: Optional[str],
    context: Any,
) -> Statement:
    """Several questions, as pairs of action and target."""
    return Statement(
        _CHECK_MANY,
        (
            _text("agent_id", agent),
            _array("action", [action for action, _ in questions]),
            _array("target", [target for _, target in questions]),
            token,
            _optional("session", session),
            _json("context", context),
        ),
        Effect.RECORD,
    )


def complete(token: Optional[Secret], chron_id: str, status: str, detail: Any) -> Statement:
    """What became of an action that was allowed."""
    if status not in COMPLETION_STATUSES:
        raise GateMisuse(f"status is one of {', '.join(COMPLETION_STATUSES)}, not {status!r}")
    return Statement(
        _COMPLETE, (_text("chron_id", chron_id), status, _json("detail", detail), token), Effect.ONCE
    )


def permissions(agent: str, token: Optional[Secret]) -> Statement:
    """What the agent may do."""
    return Statement(_PERMISSIONS, (_text("agent_id", agent), token), Effect.NONE)


def request_session(
    agent: str,
    token: Optional[Secret],
    actions: Iterable[str],
    targets: Iterable[str],
    reason: str,
    ticket: Optional[str],
    valid_for: timedelta,
    max_uses: Optional[int],
) -> Statement:
    """A session, asked of humans."""
    if not isinstance(valid_for, timedelta):
        raise GateMisuse(f"valid_for is a datetime.timedelta, not {type(valid_for).__name__}")
    if max_uses is not None and (not isinstance(max_uses, int) or isinstance(max_uses, bool)):
        raise GateMisuse(f"max_uses is an int or None, not {type(max_uses).__name__}")
    return Statement(
        _REQUEST_SESSION,
        (
            _text("agent_id", agent),
            _array("actions", _patterns("actions", actions)),
            _array("targets", _patterns("targets", targets)),
            _text("reason", reason),
            _optional("ticket", ticket),
            f"{valid_for // timedelta(microseconds=1)} microseconds",
            None if max_uses is None else str(max_uses),
            token,
        ),
        Effect.ONCE,
    )


def session_status(agent: str, token: Optional[Secret], session: str) -> Statement:
    """What has become of a session that was asked for."""
    return Statement(
        _SESSION_STATUS, (_text("agent_id", agent), _text("session", session), token), Effect.NONE
    )


def _text(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise GateMisuse(f"{name} is a str, not {type(value).__name__}")
    if "\0" in value:
        raise GateMisuse(f"{name} has a NUL character in it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise GateMisuse(f"{name} is not valid Unicode") from None
    return value


def _optional(name: str, value: Optional[str]) -> Optional[str]:
    return None if value is None else _text(name, value)


def _patterns(name: str, values: Iterable[str]) -> List[str]:
    # A single text is an iterable of texts as well: its characters.
    return [values] if isinstance(values, str) else list(values)


def _array(name: str, values: Iterable[str]) -> str:
    """An array literal, every element quoted, so that none is NULL or nested."""
    quoted = (_text(name, value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _json(name: str, value: Any) -> Optional[str]:
    if value is None:
        return None
    try:
        return _text(name, json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise GateMisuse(f"{name} cannot be written as JSON: {error}") from None
