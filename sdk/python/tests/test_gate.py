"""Answers of the real gate."""

import datetime
from pathlib import Path

import pytest
from world import World

from claiim import Decision, Gate, GateMisuse, GateUnavailable


def test_an_allow_names_what_governed_it(gate: Gate) -> None:
    decision = gate.check("deploy:staging", "governed")
    assert decision.allowed and decision.outcome == "ALLOW"
    assert (decision.agent, decision.action, decision.target) == ("deploy-bot", "deploy:staging", "governed")
    assert (decision.anchor, decision.org) == ("s.emp1", "engineering")
    assert (decision.policy, decision.skill, decision.baseline) == ("no-prod-v1", "deploy-v2", None)
    assert decision.rule == "allow:6 deploy:staging"
    assert decision.reason_code == "allowed"
    assert decision.decided_at.tzinfo is not None
    assert abs(decision.decided_at - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(
        hours=1
    )
    assert decision.require() is decision


def test_a_deny_is_an_answer_and_not_an_exception(gate: Gate, world: World) -> None:
    decision = gate.check("deploy:production", "denied")
    assert not decision.allowed
    assert decision.reason_code == "not_in_allow_list"
    assert world.decisions("denied") == ["DENY"]


def test_it_is_durable_when_it_is_answered(gate: Gate, world: World) -> None:
    chron_id = gate.check("deploy:staging", "durable").chron_id
    assert (
        world.value("SELECT outcome FROM claiim.decisions WHERE chron_id = %s", chron_id, role="s_emp1")
        == "ALLOW"
    )


def test_one_check_is_one_record(gate: Gate, world: World) -> None:
    gate.check("deploy:staging", "once")
    assert world.decisions("once") == ["ALLOW"]


def test_several_questions_are_answered_in_their_order(gate: Gate, world: World) -> None:
    questions = [("deploy:staging", "m/1"), ("deploy:production", "m/2"), ("health:check", "m/3")]
    decisions = gate.check_many(iter(questions))
    assert [d.outcome for d in decisions] == ["ALLOW", "DENY", "ALLOW"]
    assert [(d.action, d.target) for d in decisions] == questions
    assert [world.decisions(target) for _, target in questions] == [["ALLOW"], ["DENY"], ["ALLOW"]]


def test_no_question_has_no_answer(gate: Gate) -> None:
    assert gate.check_many([]) == []


@pytest.mark.parametrize(
    "target",
    ['quote"d', "back\\slash", "{braces}", "com,ma", "NULL", "ünïcödé", "日本", "a b", "%s", "$1", "';--"],
)
def test_names_arrive_as_they_are(gate: Gate, world: World, target: str) -> None:
    gate.check("deploy:staging", target)
    assert gate.check_many([("deploy:staging", target)])[0].allowed
    assert world.decisions(target) == ["ALLOW", "ALLOW"]


def test_a_context_is_recorded(gate: Gate, world: World) -> None:
    context = {"ticket": "T-7", "amount": 12.5, "nested": [None, True, "ü"]}
    chron_id = gate.check("deploy:staging", "context", context=context).chron_id
    rows = world.sql(
        "SELECT c.value::jsonb FROM claiim.contexts AS c JOIN claiim.chron AS r USING (seq)"
        " WHERE claiim.chron_id(r.seq, r.at) = %s",
        chron_id,
    )
    assert rows == [(context,)]


def test_a_session_that_does_not_exist_is_a_deny(gate: Gate) -> None:
    assert gate.check("deploy:staging", "s", session="ses_made_up").reason_code == "session_unknown"


def test_a_token_of_nobody_is_a_deny_that_tells_nothing(world: World, token: str) -> None:
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for agent, said in (("deploy-bot", wrong), ("nobody", token), ("deploy-bot", "made up")):
        with Gate(agent, said, timeout=60) as gate:
            decision = gate.check("deploy:staging", "stranger")
        assert not decision.allowed
        assert decision.reason_code in ("token_invalid", "agent_unknown", "identity_unproved")
        assert decision.anchor is decision.policy is decision.org is None


def test_without_a_token_the_database_role_proves_it(world: World) -> None:
    with Gate("deploy-bot", dsn="user=deploy_bot", timeout=60) as gate:
        assert gate.check("deploy:staging", "by-role").allowed
    with Gate("deploy-bot", timeout=60) as gate:
        assert not gate.check("deploy:staging", "by-role").allowed


def test_dsn_is_the_argument_then_claiim_dsn_then_libpq(
    world: World, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIIM_DSN", "dbname=no_such_database")
    with pytest.raises(GateUnavailable, match="no_such_database"):
        Gate("deploy-bot", token, timeout=60).check("deploy:staging", "x")
    with Gate("deploy-bot", token, dsn="dbname=agents", timeout=60) as gate:
        assert gate.check("deploy:staging", "dsn").allowed
    monkeypatch.setenv("CLAIIM_DSN", "postgresql:///agents?application_name=mine")
    with Gate("deploy-bot", token, timeout=60) as gate:
        assert gate.check("deploy:staging", "uri").allowed
        assert world.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mine'") == 1


def test_a_token_file_is_read_for_each_call(
    world: World, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("not yet\n")
    monkeypatch.setenv("CLAIIM_TOKEN_FILE", str(path))
    with Gate("deploy-bot", timeout=60) as gate:
        assert not gate.check("deploy:staging", "file").allowed
        path.write_text(token + "\n")
        assert gate.check("deploy:staging", "file").allowed
        path.unlink()
        with pytest.raises(GateMisuse, match="cannot read the token file"):
            gate.check("deploy:staging", "file")
    monkeypatch.setenv("CLAIIM_TOKEN", token)
    with Gate("deploy-bot", timeout=60) as gate:
        assert gate.check("deploy:staging", "file").allowed


def test_prepared_statements_are_used_only_if_asked_for(world: World, token: str) -> None:
    for prepare in (False, True):
        before = len(world.log())
        with Gate("deploy-bot", token, timeout=60, prepare=prepare, pool_size=1) as gate:
            for _ in range(3):
                assert gate.check("deploy:staging", "prepared").allowed
            assert gate.check_many([("health:check", "prepared")])[0].allowed
        executed = [line for line in world.log()[before:].splitlines() if ": execute " in line]
        names = [line.split(": execute ")[1].split(":")[0] for line in executed]
        assert names == (["claiim_0"] * 3 + ["claiim_1"] if prepare else ["<unnamed>"] * 4)


def test_a_check_is_one_round_trip(gate: Gate, world: World) -> None:
    gate.check("deploy:staging", "warm")
    before = len(world.log())
    gate.check("deploy:staging", "round-trip")
    lines = [line for line in world.log()[before:].splitlines() if " app@agents " in line]
    assert [line for line in lines if "execute <unnamed>: SELECT * FROM claiim_check(" in line]
    assert len([line for line in lines if "LOG:  00000: execute " in line or "statement:" in line]) == 1


@pytest.mark.parametrize(
    "action, target, text",
    [
        ("", "x", "must not be empty"),
        ("deploy:*", "x", "action"),
        ("deploy:staging", "a/../b", "target"),
        ("deploy:staging", "x" * 2000, "too long"),
    ],
)
def test_a_malformed_name_is_a_misuse_with_its_sqlstate(
    gate: Gate, action: str, target: str, text: str
) -> None:
    with pytest.raises(GateMisuse, match=text) as raised:
        gate.check(action, target)
    assert raised.value.sqlstate == "22023"
    assert "22023" in str(raised.value)


def test_too_much_is_a_misuse(gate: Gate) -> None:
    with pytest.raises(GateMisuse) as raised:
        gate.check_many([("deploy:staging", "x")] * 101)
    assert raised.value.sqlstate == "54000"
    with pytest.raises(GateMisuse):
        gate.check("deploy:staging", "x", context={"long": "x" * 9000})


def test_a_role_that_may_not_ask_is_a_misuse(world: World, token: str) -> None:
    with Gate("deploy-bot", token, dsn="user=s_emp2", timeout=60) as gate:
        with pytest.raises(GateMisuse) as raised:
            gate.check("deploy:staging", "x")
    assert raised.value.sqlstate == "42501"


def test_a_database_without_the_extension_is_no_answer(world: World, token: str) -> None:
    with Gate("deploy-bot", token, dsn="dbname=template1", timeout=60) as gate:
        with pytest.raises(GateUnavailable, match="claiim_check") as raised:
            gate.check("deploy:staging", "x")
    assert raised.value.sqlstate == "42883"


@pytest.mark.parametrize(
    "action, target, options",
    [
        ("deploy:staging\0evil", "x", {}),
        ("deploy:staging", "x\0y", {}),
        ("deploy:staging", "lone \ud800", {}),
        (None, "x", {}),
        ("deploy:staging", 7, {}),
        ("deploy:staging", "x", {"session": 7}),
        ("deploy:staging", "x", {"context": {1, 2}}),
        ("deploy:staging", "x", {"context": float("nan")}),
        ("deploy:staging", "x", {"context": "\0"}),
    ],
)
def test_what_libpq_would_cut_off_or_json_cannot_say_is_refused(
    gate: Gate, world: World, action: str, target: str, options: dict
) -> None:
    before = world.value("SELECT count(*) FROM claiim.chron")
    with pytest.raises(GateMisuse):
        gate.check(action, target, **options)
    assert world.value("SELECT count(*) FROM claiim.chron") == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"agent_id": ""},
        {"agent_id": None},
        {"agent_id": "a", "token": ""},
        {"agent_id": "a", "token": "  "},
        {"agent_id": "a", "token": 7},
        {"agent_id": "a", "timeout": 0},
        {"agent_id": "a", "timeout": float("nan")},
        {"agent_id": "a", "timeout": float("inf")},
        {"agent_id": "a", "timeout": "5"},
        {"agent_id": "a", "pool_size": 0},
        {"agent_id": "a", "pool_size": True},
        {"agent_id": "a", "dsn": "host"},
    ],
)
def test_a_gate_that_makes_no_sense_cannot_be_made(arguments: dict) -> None:
    with pytest.raises(GateMisuse):
        Gate(**arguments)


def test_a_closed_gate_allows_nothing(world: World, token: str) -> None:
    gate = Gate("deploy-bot", token, timeout=60)
    gate.check("deploy:staging", "closing")
    gate.close()
    with pytest.raises(GateMisuse, match="closed"):
        gate.check("deploy:staging", "closed")
    assert world.decisions("closed") == []


def test_a_decision_is_neither_true_nor_false(gate: Gate) -> None:
    for decision in gate.check_many([("deploy:staging", "b"), ("deploy:production", "b")]):
        with pytest.raises(TypeError, match="allowed"):
            bool(decision)
        with pytest.raises(TypeError):
            if decision:
                pass
        with pytest.raises(AttributeError):
            decision.outcome = "ALLOW"  # type: ignore[misc]
        assert isinstance(decision, Decision)
