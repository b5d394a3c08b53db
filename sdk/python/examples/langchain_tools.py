"""LangChain's tools, guarded; an agent of LangGraph takes them as they are.

    CLAIIM_TOKEN_FILE=deploy-bot.token python langchain_tools.py
"""

from langchain_core.tools import StructuredTool

from claiim import Gate
from claiim.guards import Rule
from claiim.guards.langchain import ToolDenied, guard_tools


def deploy(service: str, environment: str = "staging") -> str:
    """Deploys a service."""
    return f"{service} is on {environment}"


def health(service: str) -> str:
    """How a service is."""
    return f"{service} is well"


gate = Gate("deploy-bot")
rules = {
    "deploy": Rule(lambda a: f"deploy:{a['environment']}", target=lambda a: a["service"]),
    "health": Rule("health:check", target=lambda a: a["service"]),
}
tools = guard_tools(gate, rules, [StructuredTool.from_function(deploy), StructuredTool.from_function(health)])
# agent = create_react_agent(model, tools)

if __name__ == "__main__":
    run_deploy, run_health = tools
    print(run_deploy.invoke({"service": "api-v2", "environment": "staging"}))
    print(run_health.invoke({"service": "api-v2"}))
    try:
        print(run_deploy.invoke({"service": "api-v2", "environment": "production"}))
    except ToolDenied as denied:
        print(f"not run: {denied.decision.reason}")
