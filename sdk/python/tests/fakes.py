"""A gate without a server, for what is about the action and not about the answer."""

import asyncio
import datetime
from typing import Any, List, Optional, Tuple

from claiim import Decision, GateUnavailable

Completion = Tuple[str, str, Any]


class FakeGate:
    """Allows what begins with ``ok:``, and notes what it was asked and told."""

    def __init__(self, unreachable: bool = False, completes: bool = True) -> None:
        self.unreachable = unreachable
        self.completes = completes
        self.asked: List[Tuple[str, str, Optional[str], Any]] = []
        self.completed: List[Completion] = []

    def check(
        self, action: str, target: str, *, session: Optional[str] = None, context: Any = None
    ) -> Decision:
        self.asked.append((action, target, session, context))
        if self.unreachable:
            raise GateUnavailable("nobody there")
        allowed = action.startswith("ok:")
        return Decision(
            outcome="ALLOW" if allowed else "DENY",
            reason="policy:p-v1 -- action in allow list"
            if allowed
            else "policy:p-v1 -- action not in allow list",
            reason_code="allowed" if allowed else "not_in_allow_list",
            rule=None,
            chron_id=f"chr_{len(self.asked)}",
            anchor="ann",
            org="acme",
            policy="p-v1",
            skill="s-v1",
            baseline=None,
            session=session,
            decided_at=datetime.datetime.now(datetime.timezone.utc),
            agent="fake",
            action=action,
            target=target,
        )

    def complete(self, chron_id: str, status: str, detail: Any = None) -> str:
        if not self.completes:
            raise GateUnavailable("nobody there any more")
        self.completed.append((chron_id, status, detail))
        return "chr_completion"

    @property
    def outcomes(self) -> List[Tuple[str, Any]]:
        return [(status, detail) for _, status, detail in self.completed]


class FakeAsyncGate(FakeGate):
    """The same, awaited; what it takes is more than one turn of the loop."""

    async def check(self, *args: Any, **kwargs: Any) -> Decision:  # type: ignore[override]
        await asyncio.sleep(0.001)
        return FakeGate.check(self, *args, **kwargs)

    async def complete(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        await asyncio.sleep(0.001)
        return FakeGate.complete(self, *args, **kwargs)
