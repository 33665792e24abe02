"""Count what calls would cost at most, without making any."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from labelbus_contracts.ids import JobId
from labelbus_runtime.errors import SampleRefused

from labelbus_labeling.paid.answer import Answer, Estimate

CODE = "estimated"


@dataclass(slots=True)
class DryRun:
    """Implements `PaidDesk` and `PaidCalls`: every call is counted at its worst, and refused.

    A sample's work ends at its first paid step; what later steps would ask is not seen. `unpriced` are
    models whose price is unknown, with the setting that gives it.
    """

    asked: list[Estimate] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    unpriced: dict[str, str] = field(default_factory=dict)

    def of(self, job_id: JobId) -> "DryRun":
        """Return the same for every job."""
        del job_id
        return self

    async def close(self) -> None:
        """Do nothing."""

    async def ask(
        self,
        *,
        provider: str,
        model: str,
        digest: str,
        worst: Estimate,
        call: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Count. Always raises `SampleRefused`."""
        del provider, digest, call
        self.models.add(model)
        if math.isinf(worst.cost_usd):
            self.unpriced[model] = worst.price_setting
        self.asked.append(worst)
        raise SampleRefused("Only counted, not asked.", code=CODE)
