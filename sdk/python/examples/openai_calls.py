"""Function calls of a model, run as far as the gate allows.

    CLAIIM_TOKEN_FILE=deploy-bot.token python openai_calls.py

The message is what ``client.chat.completions.create(...).choices[0].message``
would be; what is printed is what the model is told.
"""

import json
from typing import Any, Dict

from claiim import Gate
from claiim.guards import Rule
from claiim.guards.openai import run_tool_calls


def deploy(service: str, environment: str) -> str:
    """Deploys a service."""
    return f"{service} is on {environment}"


gate = Gate("deploy-bot")
functions = {"deploy": deploy}
rules = {"deploy": Rule(lambda a: f"deploy:{a['environment']}", target=lambda a: a["service"])}

message: Dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": f"call_{environment}",
            "type": "function",
            "function": {
                "name": "deploy",
                "arguments": json.dumps({"service": "api-v2", "environment": environment}),
            },
        }
        for environment in ("staging", "production")
    ],
}

if __name__ == "__main__":
    messages = [message]
    messages += run_tool_calls(gate, rules, functions, message["tool_calls"])
    for told in messages[1:]:
        print(told["tool_call_id"], told["content"])
