"""How LangChain calls a tool: invoke, ainvoke, run and arun all end in _run or _arun.

As the real ones, which are models of pydantic, these refuse attributes that are no fields.
"""

import asyncio
import functools
import inspect
from typing import Any, Callable, Optional, Tuple


class ToolException(Exception):
    """What a tool raises for the model to be told."""


class BaseTool:
    """A tool: a name, a description, and a _run of its own."""

    fields: Tuple[str, ...] = ("name", "description", "handle_tool_error")
    name: str = ""
    description: str = ""
    handle_tool_error: bool = False

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.fields:
            raise ValueError(f'"{type(self).__name__}" object has no field "{name}"')
        object.__setattr__(self, name, value)

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return self.run(input, config=config or {}, **kwargs)

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return await self.arun(input, config=config or {}, **kwargs)

    def run(self, tool_input: Any, *, config: Any = None, **kwargs: Any) -> Any:
        args, named = self._arguments(tool_input, self._run, config)
        try:
            return self._run(*args, **named)
        except ToolException as error:
            if not self.handle_tool_error:
                raise
            return error.args[0]

    async def arun(self, tool_input: Any, *, config: Any = None, **kwargs: Any) -> Any:
        function = self._run if type(self)._arun is BaseTool._arun else self._arun
        args, named = self._arguments(tool_input, function, config)
        try:
            return await self._arun(*args, **named)
        except ToolException as error:
            if not self.handle_tool_error:
                raise
            return error.args[0]

    def _arguments(self, tool_input: Any, function: Any, config: Any) -> Any:
        if isinstance(tool_input, dict) and tool_input.get("type") == "tool_call":
            tool_input = tool_input["args"]
        args, named = ((tool_input,), {}) if isinstance(tool_input, str) else ((), dict(tool_input))
        parameters = inspect.signature(function).parameters
        if "run_manager" in parameters:
            named["run_manager"] = object()
        if "config" in parameters:
            named["config"] = config or {}
        return args, named

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        if (
            kwargs.get("run_manager") is not None
            and "run_manager" not in inspect.signature(self._run).parameters
        ):
            kwargs.pop("run_manager")
        return await asyncio.get_running_loop().run_in_executor(
            None, functools.partial(self._run, *args, **kwargs)
        )


class StructuredTool(BaseTool):
    """A tool made of functions."""

    fields = BaseTool.fields + ("func", "coroutine")
    func: Optional[Callable[..., Any]] = None
    coroutine: Optional[Callable[..., Any]] = None

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        if not self.coroutine:
            call = functools.partial(self.invoke, input, config, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(None, call)
        return await super().ainvoke(input, config, **kwargs)

    def _run(self, *args: Any, config: Any, run_manager: Any = None, **kwargs: Any) -> Any:
        if self.func:
            if run_manager and "callbacks" in inspect.signature(self.func).parameters:
                kwargs["callbacks"] = run_manager
            return self.func(*args, **kwargs)
        raise NotImplementedError("no sync invocation")

    async def _arun(self, *args: Any, config: Any, run_manager: Any = None, **kwargs: Any) -> Any:
        if self.coroutine:
            return await self.coroutine(*args, **kwargs)
        return await super()._arun(*args, config=config, run_manager=run_manager, **kwargs)

    @classmethod
    def from_function(
        cls,
        func: Any = None,
        coroutine: Any = None,
        name: Optional[str] = None,
        description: Optional[str] = None,
        **kwargs: Any,
    ) -> "StructuredTool":
        source = func or coroutine
        return cls(
            name=name or source.__name__,
            description=description or source.__doc__,
            func=func,
            coroutine=coroutine,
            **kwargs,
        )


def tool(function: Any) -> StructuredTool:
    """The decorator that makes a tool of a function."""
    if inspect.iscoroutinefunction(function):
        return StructuredTool.from_function(coroutine=function)
    return StructuredTool.from_function(function)
