"""What is not an answer of the gate is never taken for an ALLOW."""

import datetime
from typing import Any, Dict

import pytest

from claiim import Decision, GateError
from claiim.results import only

GOOD: Dict[str, Any] = {
    "outcome": "ALLOW",
    "reason": "policy:p-v1 -- action in allow list",
    "reason_code": "allowed",
    "rule": None,
    "chron_id": "chr_1",
    "anchor": None,
    "org": None,
    "policy": None,
    "skill": None,
    "baseline": None,
    "session": None,
    "decided_at": datetime.datetime.now(datetime.timezone.utc),
}


def made(**changes: Any) -> Decision:
    return Decision.from_row({**GOOD, **changes}, "agent", "a:b", "x")


def test_a_good_answer_and_one_with_columns_of_a_later_server() -> None:
    assert made().allowed
    assert made(more="of it").allowed


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": None},
        {"outcome": "allow"},
        {"outcome": "ALLOW "},
        {"outcome": True},
        {"outcome": "MAYBE"},
        {"chron_id": None},
        {"chron_id": ""},
        {"chron_id": 7},
        {"reason": None},
        {"reason_code": ""},
        {"decided_at": None},
        {"decided_at": "2026-11-21"},
    ],
)
def test_anything_else_is_an_error(changes: Dict[str, Any]) -> None:
    with pytest.raises(GateError, match="must not run"):
        made(**changes)


def test_an_answer_without_a_column_is_an_error() -> None:
    for column in ("outcome", "reason", "reason_code", "chron_id", "decided_at"):
        with pytest.raises(GateError):
            Decision.from_row({k: v for k, v in GOOD.items() if k != column}, "agent", "a:b", "x")


def test_fewer_or_more_answers_than_questions_are_none() -> None:
    assert only([GOOD], 1) == [GOOD]
    for rows, expected in (([], 1), ([GOOD, GOOD], 1), ([GOOD], 2)):
        with pytest.raises(GateError, match="none of them counts"):
            only(rows, expected)
