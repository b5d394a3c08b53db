"""``python -m claiim``, as a shell runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
from world import World


@pytest.fixture
def shell(world: World, token: str, tmp_path: Path) -> Any:
    """shell(ARGUMENT..., input=, token=, **environment): the finished process."""
    path = tmp_path / "token"
    path.write_text(token)

    def run(*arguments: str, input: str = "", with_token: bool = True, **environment: str) -> Any:
        env: Dict[str, str] = {**os.environ, **environment}
        if with_token:
            env["CLAIIM_TOKEN_FILE"] = str(path)
        return subprocess.run(
            [sys.executable, "-m", "claiim", *arguments],
            input=input,
            env=env,
            text=True,
            capture_output=True,
            timeout=180,
        )

    return run


def test_allow_is_status_0(shell: Any, world: World) -> None:
    done = shell("check", "deploy-bot", "deploy:staging", "api-v2/cli")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ALLOW  policy:no-prod-v1 -- action in allow list  chr_")
    assert world.decisions("api-v2/cli") == ["ALLOW"]


def test_deny_is_status_1(shell: Any) -> None:
    done = shell("check", "deploy-bot", "deploy:production", "api-v2")
    assert done.returncode == 1
    assert done.stdout.startswith("DENY  policy:no-prod-v1 -- action not in allow list  chr_")


def test_json_is_all_of_the_answer(shell: Any) -> None:
    done = shell(
        "check",
        "deploy-bot",
        "deploy:staging",
        "api-v2",
        "--json",
        "--context",
        '{"ticket": "T-1"}',
        "--session",
        "ses_x",
    )
    answer = json.loads(done.stdout)
    assert (answer["outcome"], answer["reason_code"]) == ("DENY", "session_unknown")
    assert (answer["anchor"], answer["agent"], answer["target"]) == ("s.emp1", "deploy-bot", "api-v2")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check", "deploy-bot", "deploy:staging"],
        ["check", "deploy-bot", "deploy:staging", "a/../b"],
        ["check", "deploy-bot", "deploy:staging", "x", "--context", "{"],
        ["check", "deploy-bot", "deploy:staging", "x", "--timeout", "0"],
        ["check", "deploy-bot", "deploy:staging", "x", "--dsn", "nonsense"],
        ["complete", "deploy-bot", "chr_x", "done"],
        ["request-session", "deploy-bot", "--action", "a:b", "--target", "x"],
        [
            "request-session",
            "deploy-bot",
            "--action",
            "a:b",
            "--target",
            "x",
            "--reason",
            "r",
            "--valid-for",
            "soon",
        ],
    ],
)
def test_a_wrong_call_is_status_2(shell: Any, arguments: Any) -> None:
    done = shell(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_there_is_no_option_for_a_token(shell: Any, token: str) -> None:
    for option in ("--token", "--tok"):
        assert shell("check", "deploy-bot", "deploy:staging", "x", option, token).returncode == 2
    assert "--token" not in shell("check", "--help").stdout


def test_no_answer_is_status_3(shell: Any, tmp_path: Path) -> None:
    done = shell("check", "deploy-bot", "deploy:staging", "x", CLAIIM_DSN=f"host={tmp_path}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the action must not run" in done.stderr


def test_a_wrong_token_is_a_deny_and_not_shown(shell: Any, world: World, token: str) -> None:
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    done = shell("check", "deploy-bot", "deploy:staging", "x", with_token=False, CLAIIM_TOKEN=wrong)
    assert done.returncode == 1
    assert wrong not in done.stdout + done.stderr


def test_a_hook_blocks_with_status_2_and_with_no_other(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(
        '{"rules": [{"tool": "Up", "action": "deploy:production", "target": "x"}, {"tool": "Bad", "action": "a", "target": "*"}]}'
    )
    hook = ("hook", "claude-code", "--agent", "deploy-bot", "--map", str(tmp_path / "map.json"))
    event = '{"hook_event_name": "PreToolUse", "tool_name": "%s", "tool_input": {}}'
    for tool, told in (("Up", "DENY"), ("Bad", "22023"), ("Other", "no rule")):
        done = shell(*hook, input=event % tool)
        assert done.returncode == 2 and told in done.stderr
    assert shell(*hook, input=event % "Up", CLAIIM_DSN=f"host={tmp_path}").returncode == 2
    assert shell(*hook, input=event % "Up", CLAIIM_DSN="nonsense").returncode == 2
    assert shell(*hook[:-1], "/nowhere", input=event % "Up").returncode == 2
    assert shell("hook", "other-agent", "--agent", "a", "--map", "m").returncode == 2


def test_a_shell_goes_on_only_on_allow(world: World, token: str) -> None:
    script = (
        '"$PYTHON" -m claiim check deploy-bot deploy:staging api >/dev/null && echo deployed staging\n'
        '"$PYTHON" -m claiim check deploy-bot deploy:production api >/dev/null && echo deployed production\n'
        'PGHOST=/nowhere "$PYTHON" -m claiim check deploy-bot deploy:staging api 2>/dev/null && echo deployed unasked\n'
        "exit 0"
    )
    env = {**os.environ, "PYTHON": sys.executable, "CLAIIM_TOKEN": token}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=180)
    assert done.stdout == "deployed staging\n"


def test_complete(shell: Any) -> None:
    chron_id = shell("check", "deploy-bot", "deploy:staging", "api-v2").stdout.split()[-1]
    done = shell("complete", "deploy-bot", chron_id, "failed", "--detail", '{"status": 503}')
    assert done.returncode == 0 and done.stdout.startswith("chr_")
    done = shell("complete", "deploy-bot", chron_id, "failed")
    assert done.returncode == 2 and "23505" in done.stderr


def test_permissions(shell: Any) -> None:
    done = shell("permissions", "deploy-bot")
    assert done.returncode == 0 and "deploy:staging  on " in done.stdout
    lines = shell("permissions", "deploy-bot", "--json").stdout.splitlines()
    assert "deploy:staging" in [json.loads(line)["action"] for line in lines]


def test_a_line_says_all_of_a_permission() -> None:
    from claiim import Permission
    from claiim.cli import _permission_line

    whole = Permission("a:*", "t/**", "session", "allow:1 a:*", "p-v1", exceptions=("a:x", "a:y on t/1"))
    assert _permission_line(whole) == "a:*  on t/**  except a:x, a:y on t/1  needs session  (p-v1)"
    assert _permission_line(Permission("a:b", None, None, None, "p-v1")) == "a:b  on any target  (p-v1)"


def test_request_session_waits_for_humans(shell: Any, world: World) -> None:
    token = world.token("infra-bot")
    ask = (
        "request-session",
        "infra-bot",
        "--action",
        "infra:apply",
        "--target",
        "change-orders/7",
        "--target",
        "change-orders/8",
        "--reason",
        "planned",
        "--ticket",
        "T",
        "--valid-for",
        "30m",
        "--max-uses",
        "1",
    )
    done = shell(*ask, with_token=False, CLAIIM_TOKEN=token)
    session = done.stdout.strip()
    assert done.returncode == 0 and session.startswith("ses_")
    done = shell(*ask, "--wait", "0.1", with_token=False, CLAIIM_TOKEN=token)
    assert done.returncode == 1 and "is requested" in done.stderr
    world.two_people(f"grant_session('{session}')")
    check = ("check", "infra-bot", "infra:apply", "change-orders/8", "--session", session)
    assert shell(*check, with_token=False, CLAIIM_TOKEN=token).returncode == 0
