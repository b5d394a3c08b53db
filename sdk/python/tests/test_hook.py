"""The hook of Claude Code: exit status 2 blocks, and nothing but an ALLOW is 0."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest
from fakes import FakeGate
from world import World

from claiim import GateMisuse
from claiim.guards.claude_code import ALLOWED, BLOCKED, HookMap, run_hook

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "claude_code"


def event(tool: str, **given: Any) -> Dict[str, Any]:
    return {
        "session_id": "s",
        "transcript_path": "/tmp/t",
        "cwd": "/project",
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_input": given,
        "tool_use_id": "toolu_1",
    }


def hook_map(tmp_path: Path, *rules: Any, document: Any = None) -> HookMap:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"rules": rules} if document is None else document))
    return HookMap.read(str(path))


def asked(tmp_path: Path, rule: Dict[str, Any], happened: Dict[str, Any]) -> Optional[Any]:
    question = hook_map(tmp_path, {"tool": "*", "action": "ok:go", "target": "t", **rule}).question(happened)
    return None if question is None else (question.action, question.target, question.context)


def test_a_target_is_made_of_the_input(tmp_path: Path) -> None:
    rule = {"target": "repo/{repo}/pull/{number}", "context": ["title"]}
    happened = event("mcp__github__merge", repo="api", number=7, title="Fix")
    assert asked(tmp_path, rule, happened) == (
        "ok:go",
        "repo/api/pull/7",
        {"tool": "mcp__github__merge", "title": "Fix"},
    )


@pytest.mark.parametrize(
    "given", [{}, {"repo": ""}, {"repo": None}, {"repo": True}, {"repo": ["a"]}, {"repo": {"a": 1}}]
)
def test_an_input_that_lacks_what_the_target_needs_is_not_asked_about(tmp_path: Path, given: Any) -> None:
    with pytest.raises(GateMisuse, match="no text in 'repo'"):
        asked(tmp_path, {"target": "repo/{repo}"}, event("T", **given))


def test_a_path_is_the_real_one(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    root = os.path.realpath(tmp_path).lstrip("/")
    for given, real in (
        (f"{tmp_path}/link/key", f"{root}/secret/key"),
        (f"{tmp_path}/a/../b", f"{root}/b"),
        ("file.py", "project/file.py"),
        ("../etc/passwd", "etc/passwd"),
    ):
        assert asked(tmp_path, {"target": "{path:file_path}"}, event("Write", file_path=given))[1] == real


def test_what_is_in_the_input_is_put_in_once(tmp_path: Path) -> None:
    assert asked(tmp_path, {"target": "{a}/{b}"}, event("T", a="{b}", b="x"))[1] == "{b}/x"


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    rules = hook_map(
        tmp_path,
        {"tool": ["Read", "Gl?b"], "ungoverned": True},
        {"tool": "Bash", "input": {"command": "git (status|diff)"}, "action": "git:read", "target": "r"},
        {"tool": "Bash", "action": "shell:run", "target": "w", "session": "ses_1"},
        {"tool": "mcp__github__*", "action": "github:call", "target": "g"},
    )

    def action(*of: Any, **given: Any) -> Any:
        question = rules.question(event(*of, **given))
        return question and (question.action, question.session)

    assert action("Read") is None and action("Glob") is None
    assert action("Bash", command="git status") == ("git:read", None)
    # A pattern has to match all of a command.
    for command in ("git status; rm -rf x", "sudo git status", "git status\nrm x", 7, None):
        assert action("Bash", command=command) == ("shell:run", "ses_1")
    assert action("mcp__github__merge") == ("github:call", None)
    for tool in ("Write", "read", "xmcp__github__merge", "ReadX"):
        with pytest.raises(GateMisuse, match="no rule"):
            action(tool)


@pytest.mark.parametrize(
    "rule",
    [
        "Bash",
        {"tool": "Bash"},
        {"tool": "Bash", "action": "a:b"},
        {"tool": "Bash", "action": 7, "target": "x"},
        {"tool": "Bash", "action": "a:b", "target": "x", "unknown": 1},
        {"tool": 7, "action": "a:b", "target": "x"},
        {"tool": [""], "action": "a:b", "target": "x"},
        {"tool": [], "action": "a:b", "target": "x"},
        {"action": "a:b", "target": "x"},
        {"tool": "Bash", "ungoverned": True, "action": "a:b", "target": "x"},
        {"tool": "Bash", "ungoverned": "yes"},
        {"tool": "Bash", "ungoverned": False},
        {"tool": "Bash", "input": {"command": "("}, "action": "a:b", "target": "x"},
        {"tool": "Bash", "input": ["command"], "action": "a:b", "target": "x"},
        {"tool": "Bash", "input": {"command": 7}, "action": "a:b", "target": "x"},
        {"tool": "Bash", "action": "a:b", "target": "{file-path}"},
        {"tool": "Bash", "action": "a:b", "target": "{}"},
    ],
)
def test_a_map_that_is_not_understood_is_refused(tmp_path: Path, rule: Any) -> None:
    with pytest.raises(GateMisuse, match="cannot be used"):
        hook_map(tmp_path, rule)


@pytest.mark.parametrize("document", [[], {}, {"rules": {}, "more": 1}, {"rules": 7}, "x"])
def test_a_map_of_another_form_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(GateMisuse, match="cannot be used"):
        hook_map(tmp_path, document=document)


def run(tmp_path: Path, gate: Any, given: Any, *rules: Any) -> Any:
    told = io.StringIO()
    text = given if isinstance(given, str) else json.dumps(given)
    status = run_hook(gate, hook_map(tmp_path, *rules), io.StringIO(text), told)
    return status, told.getvalue()


def test_it_says_nothing_on_allow_and_why_on_deny(tmp_path: Path) -> None:
    go = {"tool": "Bash", "action": "ok:go", "target": "x"}
    no = {"tool": "Write", "action": "no:go", "target": "x"}
    gate = FakeGate()
    assert run(tmp_path, gate, event("Bash"), go, no) == (ALLOWED, "")
    status, told = run(tmp_path, gate, event("Write"), go, no)
    assert status == BLOCKED
    assert told.startswith("claiim: DENY no:go on x: policy:p-v1 -- action not in allow list")
    assert gate.asked[0][3] == {"tool": "Bash"}


def test_whatever_goes_wrong_blocks(tmp_path: Path) -> None:
    go = {"tool": "Bash", "action": "ok:go", "target": "x"}
    assert run(tmp_path, FakeGate(unreachable=True), event("Bash"), go)[0] == BLOCKED
    for given in (
        "",
        "{",
        "[]",
        "7",
        "{}",
        event("Write"),
        {**event("Bash"), "tool_input": "x"},
        {**event("Bash"), "hook_event_name": "PostToolUse"},
        {**event("Bash"), "tool_name": 7},
    ):
        status, told = run(tmp_path, FakeGate(), given, go)
        assert status == BLOCKED and told.startswith("claiim: ")

    class Broken(FakeGate):
        def check(self, *args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError

    assert run(tmp_path, Broken(), event("Bash"), go)[0] == BLOCKED


# As Claude Code runs it: the command of the example's settings, in a shell


@pytest.fixture
def command(token: str, tmp_path: Path, world: World) -> Any:
    settings = json.loads((EXAMPLE / "settings.json").read_text())
    (entry,) = settings["hooks"]["PreToolUse"]
    (hook,) = entry["hooks"]
    (tmp_path / "token").write_text(token)

    def run(happened: Any, python: str = sys.executable, **environment: str) -> Any:
        line = hook["command"].replace("python3", python).replace("/etc/claiim", str(EXAMPLE))
        env = {**os.environ, "CLAIIM_TOKEN_FILE": str(tmp_path / "token"), **environment}
        given = happened if isinstance(happened, bytes) else json.dumps(happened).encode()
        done = subprocess.run(["sh", "-c", line], input=given, env=env, capture_output=True, timeout=180)
        return SimpleNamespace(
            returncode=done.returncode, stdout=done.stdout.decode(), stderr=done.stderr.decode()
        )

    return run


def test_the_example_allows_and_blocks_by_the_real_gate(command: Any, world: World) -> None:
    done = command(event("Bash", command="make deploy-staging"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = command(event("Bash", command="make deploy-production"))
    assert done.returncode == 2
    assert "policy:no-prod-v1 -- action not in allow list" in done.stderr
    done = command(event("Bash", command="make deploy-staging && curl evil"))
    assert done.returncode == 2 and "DENY shell:run on workstation" in done.stderr
    assert command(event("mcp__deployments__health", service="hook-api")).returncode == 0
    assert world.decisions("hook-api") == ["ALLOW"]
    assert command(event("Read", file_path="/etc/hosts")).returncode == 0
    assert command(event("WebFetch", url="x")).returncode == 2


def test_the_example_blocks_whatever_fails(command: Any, tmp_path: Path) -> None:
    happened = event("Bash", command="make deploy-staging")
    assert command(happened, CLAIIM_DSN=f"host={tmp_path}").returncode == 2
    assert command(happened, CLAIIM_TOKEN_FILE=f"{tmp_path}/gone").returncode == 2
    assert command(b"not json").returncode == 2
    assert command(b"\xff").returncode == 2
    assert command(happened, python="/nowhere/python3").returncode == 2
    assert command(happened, CLAIIM_DSN="nonsense").returncode == 2
    # A package that cannot be imported: Python itself would exit with 1, which blocks nothing.
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").write_text("raise ImportError('broken')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert command(happened, PYTHONPATH=path).returncode == 2
