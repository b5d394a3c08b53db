"""How FastMCP takes functions as tools, and calls them by name."""

import inspect
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class FastMCP:
    """A server of tools."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tools: Dict[str, Any] = {}

    def tool(self, name: Optional[str] = None) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            # Its schema is made of the signature's parameters and their types.
            for parameter in inspect.signature(function).parameters.values():
                assert parameter.annotation is not parameter.empty, parameter
            self._tools[name or function.__name__] = function
            return function

        return decorate

    async def list_tools(self) -> List[str]:
        return list(self._tools)

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> Any:
        function = self._tools[name]
        try:
            result = function(**arguments)
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise RuntimeError(f"Error executing tool {name}: {error}") from error
