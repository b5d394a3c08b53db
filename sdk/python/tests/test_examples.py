"""Each example runs, against the real gate, and prints what it says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from world import World

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STAND_INS = Path(__file__).resolve().parent / "stand_ins"
DENIED = "policy:no-prod-v1 -- action not in allow list"

PRINTED: Dict[str, List[str]] = {
    "tool.py": ["api-v2 is on staging", f"not run: {DENIED}"],
    "mcp_tools.py": ["api-v2 is on staging", f"not run: {DENIED}"],
    "langchain_tools.py": ["api-v2 is on staging", "api-v2 is well", f"not run: {DENIED}"],
    "openai_calls.py": [
        "call_staging api-v2 is on staging",
        f'call_production {{"error": "denied", "reason": "{DENIED}"',
    ],
}


def test_all_of_them_are_here() -> None:
    assert set(PRINTED) == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_does_what_is_allowed_and_not_what_is_not(world: World, token: str, name: str) -> None:
    start = (
        "import runpy, sys; sys.path.append(sys.argv[2]); runpy.run_path(sys.argv[1], run_name='__main__')"
    )

    def run(**environment: str) -> Any:
        return subprocess.run(
            [sys.executable, "-c", start, str(EXAMPLES / name), str(STAND_INS)],
            env={**os.environ, "CLAIIM_TOKEN": token, **environment},
            capture_output=True,
            text=True,
            timeout=180,
        )

    done = run()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PRINTED[name])
    for line, expected in zip(lines, PRINTED[name]):
        assert expected in line
    done = run(PGHOST="/nowhere")
    assert "is on" not in done.stdout and "is well" not in done.stdout
