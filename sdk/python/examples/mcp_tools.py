"""Tools of the Model Context Protocol, guarded on either side.

    CLAIIM_TOKEN_FILE=deploy-bot.token python mcp_tools.py

Here client and server are one process: ``server.call_tool`` stands for what
would be ``session.call_tool`` of a ClientSession.
"""

import asyncio

from mcp.server.fastmcp import FastMCP

from claiim import AsyncGate, Denied
from claiim.guards import Rule
from claiim.guards.mcp import guard_call_tool, tool

gate = AsyncGate("deploy-bot")
server = FastMCP("deployments")


# Your own server: the guard goes beneath the decorator that publishes the tool.
@server.tool()
@tool(gate, Rule("deploy:production", target=lambda a: a["service"]))
async def deploy_production(service: str) -> str:
    """Deploys a service to production."""
    return f"{service} is in production"


# Somebody else's server: what is not guarded there is guarded where it is called.
@server.tool()
async def deploy_staging(service: str) -> str:
    """Deploys a service to staging."""
    return f"{service} is on staging"


call_tool = guard_call_tool(
    gate, {"deploy_staging": Rule("deploy:staging", target=lambda a: a["service"])}, server.call_tool
)


async def main() -> None:
    print(await call_tool("deploy_staging", {"service": "api-v2"}))
    try:
        print(await server.call_tool("deploy_production", {"service": "api-v2"}))
    except Exception as error:
        denied = error if isinstance(error, Denied) else error.__cause__
        print(f"not run: {denied.reason if isinstance(denied, Denied) else error}")
    await gate.close()


if __name__ == "__main__":
    asyncio.run(main())
