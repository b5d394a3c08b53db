"""Guards: the tool runs on ALLOW only, whatever way it is called."""

import asyncio
import importlib
import inspect
import json
import sys
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest
from fakes import FakeAsyncGate, FakeGate
from world import World

from claiim import Denied, Gate, GateMisuse, GateUnavailable
from claiim.guards import BadArguments, Rule, tool
from claiim.guards import langchain, mcp, openai

GO = Rule("ok:go", target=lambda a: f"t/{a['name']}")
NO = Rule("no:go", target=lambda a: f"t/{a['name']}")


class Ran(List[Any]):
    """A tool that notes how it was called."""

    def tool(self, name: str, more: int = 1, **rest: Any) -> str:
        """Does something."""
        self.append((name, more, rest))
        return f"did {name}"

    async def atool(self, name: str, more: int = 1) -> str:
        """Does something, awaited."""
        await asyncio.sleep(0)
        self.append((name, more, {}))
        return f"did {name}"


# Any function


def test_a_tool_keeps_its_signature_and_its_rule_sees_arguments_by_name() -> None:
    gate, ran = FakeGate(), Ran()
    seen: List[Dict[str, Any]] = []
    rule = Rule("ok:go", target=lambda a: seen.append(dict(a)) or "t", context=lambda a: {"more": a["more"]})
    guarded = tool(gate, rule)(ran.tool)
    assert guarded("x", extra=2) == "did x"
    assert seen == [{"name": "x", "more": 1, "extra": 2}]
    assert gate.asked == [("ok:go", "t", None, {"more": 1})]
    assert inspect.signature(guarded) == inspect.signature(ran.tool)


def test_a_tool_does_not_run_on_deny_or_without_an_answer() -> None:
    ran = Ran()
    with pytest.raises(Denied):
        tool(FakeGate(), NO)(ran.tool)("x")
    with pytest.raises(GateUnavailable):
        tool(FakeGate(unreachable=True), GO)(ran.tool)("x")
    with pytest.raises(Denied):
        asyncio.run(tool(FakeAsyncGate(), NO)(ran.atool)("x"))
    assert ran == []


@pytest.mark.parametrize(
    "rule",
    [
        Rule("ok:go", target=lambda a: a["missing"]),
        Rule("ok:go", target=lambda a: a["name"].missing),
        Rule("ok:go", target=lambda a: int(a["name"])),  # type: ignore[arg-type,return-value]
    ],
)
def test_a_rule_that_does_not_fit_lets_nothing_run(rule: Rule) -> None:
    gate, ran = FakeGate(), Ran()
    with pytest.raises(BadArguments):
        tool(gate, rule)(ran.tool)("x")
    with pytest.raises(BadArguments):
        tool(gate, GO)(ran.tool)()
    assert (ran, gate.asked) == ([], [])


def test_a_rule_that_makes_something_else_than_a_text_is_refused_by_the_real_gate(gate: Gate) -> None:
    ran = Ran()
    with pytest.raises(GateMisuse, match="target is a str"):
        tool(gate, Rule("deploy:staging", target=lambda a: 7))(ran.tool)("x")  # type: ignore[arg-type,return-value]
    assert ran == []


# MCP


class Session:
    """call_tool in the shape of ClientSession's."""

    def __init__(self, **result: Any) -> None:
        self.ran: List[Any] = []
        self.result = SimpleNamespace(content=["done"], **result)

    async def call_tool(
        self,
        name: str,
        arguments: Optional[Dict[str, Any]] = None,
        read_timeout_seconds: Any = None,
        progress_callback: Any = None,
        *,
        meta: Any = None,
    ) -> Any:
        self.ran.append((name, arguments, read_timeout_seconds, meta))
        return self.result


@pytest.mark.parametrize("kind", [FakeGate, FakeAsyncGate])
def test_a_call_through_mcp_is_asked_for_and_passed_on_as_it_is(kind: Any) -> None:
    gate, session = kind(), Session(isError=False)
    call_tool = mcp.guard_call_tool(gate, {"go": GO, "no": NO}, session.call_tool)
    assert asyncio.run(call_tool("go", {"name": "x"}, 30, meta={"m": 1})) is session.result
    assert asyncio.run(call_tool(name="go", arguments={"name": "y"})) is session.result
    assert session.ran == [("go", {"name": "x"}, 30, {"m": 1}), ("go", {"name": "y"}, None, None)]
    assert [asked[:2] for asked in gate.asked] == [("ok:go", "t/x"), ("ok:go", "t/y")]
    with pytest.raises(Denied):
        asyncio.run(call_tool("no", {"name": "x"}))
    with pytest.raises(GateMisuse, match="no rule for tool 'other'"):
        asyncio.run(call_tool("other", {"name": "x"}))
    with pytest.raises(BadArguments):
        asyncio.run(call_tool("go"))
    with pytest.raises(GateMisuse, match="not an object"):
        asyncio.run(call_tool("go", "name"))  # type: ignore[arg-type]
    assert len(session.ran) == 2


@pytest.mark.parametrize("flag", ["isError", "is_error"])
def test_a_result_of_mcp_that_is_an_error_is_recorded_as_failed(flag: str) -> None:
    gate, session = FakeAsyncGate(), Session(**{flag: True})
    assert (
        asyncio.run(mcp.guard_call_tool(gate, {"go": GO}, session.call_tool)("go", {"name": "x"}))
        is session.result
    )
    assert gate.outcomes == [("failed", {"error": "the tool reported an error"})]


def test_the_handler_of_an_mcp_server_is_guarded_by_a_decorator() -> None:
    gate, ran = FakeAsyncGate(), []

    @mcp.guarded_handler(gate, {"go": GO, "no": NO})
    async def handle(name: str, arguments: Dict[str, Any]) -> List[str]:
        ran.append(name)
        return ["done"]

    assert asyncio.run(handle("go", {"name": "x"})) == ["done"]
    with pytest.raises(Denied):
        asyncio.run(handle("no", {"name": "x"}))
    assert ran == ["go"]


def test_a_function_of_fastmcp_is_published_as_it_was(stand_ins: None) -> None:
    from mcp.server.fastmcp import FastMCP

    gate, server = FakeAsyncGate(), FastMCP("s")

    @server.tool()
    @mcp.tool(gate, GO)
    async def deploy(name: str, more: int = 1) -> str:
        """Deploys."""
        return name

    assert asyncio.run(server.call_tool("deploy", {"name": "x"}))
    assert gate.asked[0][:2] == ("ok:go", "t/x")
    assert list(inspect.signature(deploy).parameters) == ["name", "more"]


# LangChain


def of_functions(ran: Ran, with_coroutine: bool = True) -> Any:
    from langchain_core.tools import StructuredTool

    return StructuredTool.from_function(
        ran.tool, ran.atool if with_coroutine else None, name="go", description="Does something."
    )


def of_methods(ran: Ran, with_arun: bool) -> Any:
    from langchain_core.tools import BaseTool

    class Go(BaseTool):
        name: str = "go"
        description: str = "Does something."

        def _run(self, name: str, more: int = 1, run_manager: Any = None) -> str:
            assert run_manager is not None
            return ran.tool(name, more)

    class GoAsync(Go):
        async def _arun(self, name: str, more: int = 1, run_manager: Any = None) -> str:
            return await ran.atool(name, more)

    return GoAsync() if with_arun else Go()


def overriding(ran: Ran) -> Any:
    from langchain_core.tools import StructuredTool

    class Own(StructuredTool):
        def _run(self, *args: Any, config: Any, run_manager: Any = None, **kwargs: Any) -> Any:
            return ran.tool(**kwargs)

    return Own.from_function(lambda name: "not this one", name="go", description="Does something.")


SHAPES = {
    "functions": of_functions,
    "function only": lambda ran: of_functions(ran, with_coroutine=False),
    "methods": lambda ran: of_methods(ran, with_arun=True),
    "method only": lambda ran: of_methods(ran, with_arun=False),
    "overridden": overriding,
}


def ways(tool: Any) -> Any:
    """Every way that a tool of LangChain is called."""
    call = {"type": "tool_call", "id": "1", "name": "go", "args": {"name": "x"}}
    return {
        "invoke": lambda: tool.invoke({"name": "x"}),
        "a tool call": lambda: tool.invoke(call),
        "run": lambda: tool.run({"name": "x"}),
        "ainvoke": lambda: asyncio.run(tool.ainvoke({"name": "x"})),
        "arun": lambda: asyncio.run(tool.arun({"name": "x"})),
    }


@pytest.fixture
def stand_ins() -> None:
    """langchain_core and mcp can be imported: the real ones if they are installed."""
    for name in ("langchain_core.tools", "mcp.server.fastmcp"):
        importlib.import_module(name)


@pytest.mark.parametrize("way", ["invoke", "a tool call", "run", "ainvoke", "arun"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_tool_of_langchain_asks_once_whichever_way_it_is_called(
    stand_ins: None, shape: str, way: str
) -> None:
    gate, ran = FakeGate(), Ran()
    original = SHAPES[shape](ran)
    guarded = langchain.guard_tool(gate, GO, original)
    assert "did x" in str(ways(guarded)[way]())
    assert [asked[:2] for asked in gate.asked] == [("ok:go", "t/x")]
    assert (len(ran), gate.outcomes) == (1, [("succeeded", None)])
    assert (guarded.name, guarded.description) == ("go", "Does something.")
    assert isinstance(guarded, type(original))

    for refusing, rule, kind in (
        (gate, NO, langchain.ToolDenied),
        (FakeGate(unreachable=True), GO, GateUnavailable),
    ):
        with pytest.raises(kind):
            ways(langchain.guard_tool(refusing, rule, original))[way]()
    assert len(ran) == 1


@pytest.mark.parametrize("shape", ["functions", "methods"])
def test_an_async_gate_guards_what_is_awaited_and_lets_nothing_else_run(stand_ins: None, shape: str) -> None:
    gate, ran = FakeAsyncGate(), Ran()
    guarded = langchain.guard_tool(gate, GO, SHAPES[shape](ran))
    assert ways(guarded)["ainvoke"]() == "did x"
    with pytest.raises(GateMisuse, match="asynchronously"):
        ways(guarded)["invoke"]()
    assert (len(ran), len(gate.asked)) == (1, 1)


def test_the_tool_that_was_passed_in_stays_as_it_was(stand_ins: None) -> None:
    for shape in SHAPES:
        gate, ran = FakeGate(), Ran()
        original = SHAPES[shape](ran)
        langchain.guard_tool(gate, NO, original)
        assert original.invoke({"name": "x"}) == "did x"
        assert gate.asked == []


def test_a_model_can_be_told_the_reason_instead(stand_ins: None) -> None:
    from langchain_core.tools import ToolException

    tool = of_functions(Ran())
    tool.handle_tool_error = True
    told = langchain.guard_tool(FakeGate(), NO, tool).invoke({"name": "x"})
    assert "policy:p-v1 -- action not in allow list" in told
    if issubclass(langchain.ToolDenied, ToolException):
        with pytest.raises(GateUnavailable):
            langchain.guard_tool(FakeGate(unreachable=True), GO, tool).invoke({"name": "x"})


def test_every_tool_of_langchain_needs_a_rule(stand_ins: None) -> None:
    tools = [of_functions(Ran())]
    assert len(langchain.guard_tools(FakeGate(), {"go": GO}, tools)) == 1
    with pytest.raises(GateMisuse, match="no rule for tool 'go'"):
        langchain.guard_tools(FakeGate(), {"other": GO}, tools)
    with pytest.raises(GateMisuse, match="not a LangChain tool"):
        langchain.guard_tool(FakeGate(), GO, object())


# OpenAI


def call(name: str, arguments: Any, id: str = "call_1", as_object: bool = False) -> Any:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    if as_object:
        return SimpleNamespace(id=id, type="function", function=SimpleNamespace(name=name, arguments=text))
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}


def dispatch(
    gate: Any, ran: Ran, calls: Any, rule: Rule = GO, asynchronous: bool = False
) -> List[Dict[str, Any]]:
    rules = {"go": rule, "no": NO, "bad": GO}

    def bad(name: str) -> None:
        raise ValueError("it broke")

    async def abad(name: str) -> None:
        raise ValueError("it broke")

    if asynchronous:
        functions = {"go": ran.atool, "no": ran.atool, "bad": abad}
        return asyncio.run(openai.run_tool_calls_async(gate, rules, functions, calls))
    return openai.run_tool_calls(gate, rules, {"go": ran.tool, "no": ran.tool, "bad": bad}, calls)


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_function_calls_run_as_far_as_they_are_allowed(asynchronous: bool, as_object: bool) -> None:
    gate, ran = FakeAsyncGate() if asynchronous else FakeGate(), Ran()
    names = [("go", "a"), ("no", "b"), ("bad", "c"), ("go", "d")]
    calls = [call(name, {"name": who}, f"call_{who}", as_object) for name, who in names]
    messages = dispatch(gate, ran, calls, asynchronous=asynchronous)
    assert [(m["role"], m["tool_call_id"]) for m in messages] == [("tool", f"call_{who}") for _, who in names]
    assert [row[0] for row in ran] == ["a", "d"]
    assert messages[0]["content"] == "did a"
    told = json.loads(messages[1]["content"])
    assert (told["error"], told["chron_id"]) == ("denied", "chr_2")
    assert told["reason"] == "policy:p-v1 -- action not in allow list"
    assert json.loads(messages[2]["content"]) == {"error": "failed", "reason": "ValueError: it broke"}
    assert gate.outcomes == [("succeeded", None), ("failed", {"error": "ValueError"}), ("succeeded", None)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_a_model_makes_up_is_not_run_and_not_asked_for(asynchronous: bool) -> None:
    gate, ran = FakeAsyncGate() if asynchronous else FakeGate(), Ran()
    calls = [
        call("unknown", {}),
        call("go", "{not json"),
        call("go", "[1]"),
        call("go", {"other": 1}),
        call("go", ""),
        {"id": "call_1"},
        {"id": "call_1", "function": {"name": ["go"], "arguments": "{}"}},
    ]
    messages = dispatch(gate, ran, calls, asynchronous=asynchronous)
    assert len(messages) == len(calls)
    assert {json.loads(m["content"])["error"] for m in messages} == {"bad arguments"}
    assert (ran, gate.asked) == ([], [])
    assert dispatch(gate, ran, None, asynchronous=asynchronous) == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_without_the_gate_no_further_call_runs(asynchronous: bool) -> None:
    gate = FakeAsyncGate(unreachable=True) if asynchronous else FakeGate(unreachable=True)
    ran = Ran()
    with pytest.raises(GateUnavailable):
        dispatch(gate, ran, [call("go", {"name": "x"})] * 2, asynchronous=asynchronous)
    assert (ran, len(gate.asked)) == ([], 1)


def test_a_function_without_a_rule_is_found_before_anything_runs() -> None:
    ran = Ran()
    with pytest.raises(GateMisuse, match="no rule for tool 'other'"):
        openai.run_tool_calls(
            FakeGate(), {"go": GO}, {"go": ran.tool, "other": ran.tool}, [call("go", {"name": "x"})]
        )
    assert ran == []


def test_a_sync_gate_runs_functions_of_both_kinds_for_a_loop() -> None:
    gate, ran = FakeGate(), Ran()
    functions = {"go": ran.tool, "no": ran.atool}
    calls = [call("go", {"name": "x"}), call("no", {"name": "y"})]
    messages = asyncio.run(openai.run_tool_calls_async(gate, {"go": GO, "no": GO}, functions, calls))
    assert [m["content"] for m in messages] == ["did x", "did y"]


def test_what_a_function_returns_is_told_as_json() -> None:
    functions = {"go": lambda name: {"name": name, "ü": [1, object]}}
    (message,) = openai.run_tool_calls(FakeGate(), {"go": GO}, functions, [call("go", {"name": "x"})])
    assert json.loads(message["content"])["name"] == "x"


def test_a_name_that_the_real_gate_does_not_take_is_told_to_the_model(gate: Gate, world: World) -> None:
    ran = Ran()
    rules = {"go": Rule("deploy:staging", target=lambda a: a["name"])}
    calls = [call("go", {"name": "a/../b"}), call("go", {"name": "openai-real"})]
    messages = openai.run_tool_calls(gate, rules, {"go": ran.tool}, calls)
    assert json.loads(messages[0]["content"])["error"] == "bad arguments"
    assert messages[1]["content"] == "did openai-real"
    assert [row[0] for row in ran] == ["openai-real"]
    # What the model can do nothing about is raised.
    with Gate("deploy-bot", dsn="user=s_emp2", timeout=60) as stranger, pytest.raises(GateMisuse):
        openai.run_tool_calls(stranger, rules, {"go": ran.tool}, calls[1:])


def test_no_framework_is_needed_to_import_the_guards() -> None:
    import subprocess

    script = (
        "import sys; sys.modules.update(dict.fromkeys(['mcp', 'langchain_core', 'openai', 'pydantic']))\n"
        "import claiim.guards.mcp, claiim.guards.openai, claiim.guards.claude_code\n"
        "from claiim.guards.langchain import ToolDenied\n"
        "from claiim import Denied\n"
        "assert issubclass(ToolDenied, Denied)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
