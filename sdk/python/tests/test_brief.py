"""The example of the README, which is the contract, to the letter."""

import re
from pathlib import Path

import pytest
from world import World

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")

CONTRACT = """
from claiim import Gate

gate = Gate(agent_id="deploy-bot", token="...")

result = gate.check(action="deploy:staging", target="api-v2")
# result.outcome == "ALLOW"
# result.chron_id == "chr_01j..."

result = gate.check(action="deploy:production", target="api-v2")
# result.outcome == "DENY"
# result.reason == "policy:no-prod-v1 -- action not in allow list"
"""


def test_the_readme_has_the_contract_to_the_letter() -> None:
    assert f"```python{CONTRACT}```" in README


def test_the_contract_runs_and_every_line_that_it_promises_holds(world: World, token: str) -> None:
    names: dict = {}
    held, before = 0, len(world.decisions("api-v2"))
    for line in CONTRACT.replace('"..."', repr(token)).strip().splitlines():
        promise = re.fullmatch(r"# (result\.\w+) == (\"[^\"]+\")", line)
        if not promise:
            exec(line, names)
            continue
        said, promised = eval(promise[1], names), eval(promise[2])
        if promised.endswith("..."):
            assert re.fullmatch(r"chr_0[0-9a-hjkmnp-tv-z]{25}", said)
        else:
            assert said == promised
        held += 1
    assert held == 4
    names["gate"].close()
    assert world.decisions("api-v2")[before:] == ["ALLOW", "DENY"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\((examples/[^)]+)\)", README))))
def test_what_the_readme_links_to_is_there(name: str) -> None:
    assert (Path(__file__).resolve().parents[1] / name).exists()
