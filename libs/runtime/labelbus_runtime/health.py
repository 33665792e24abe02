"""Readiness: whether a process can do its work now, and if not, why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready when there is nothing to complain of."""

    complaints: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Tell whether messages can be delivered."""
        return not self.complaints
