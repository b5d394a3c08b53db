"""Any function as a guarded tool.

    CLAIIM_TOKEN_FILE=deploy-bot.token python tool.py
"""

from claiim import Denied, Gate
from claiim.guards import Rule, tool

gate = Gate("deploy-bot")


@tool(gate, Rule("deploy:staging", target=lambda a: a["service"]))
def deploy(service: str) -> str:
    """Deploys a service to staging."""
    return f"{service} is on staging"


@tool(gate, Rule(lambda a: f"deploy:{a['environment']}", target=lambda a: a["service"]))
def deploy_to(service: str, environment: str) -> str:
    """Deploys a service anywhere, if the policy says so."""
    return f"{service} is on {environment}"


if __name__ == "__main__":
    print(deploy("api-v2"))
    try:
        print(deploy_to("api-v2", environment="production"))
    except Denied as denied:
        print(f"not run: {denied.reason}")
