"""What was asked of Studio: counts by route and sample, the order of writes, how many calls ran at once."""

from collections import Counter
from dataclasses import dataclass, field

from labelbus_simulator.documents import Doc


@dataclass(slots=True)
class Calls:
    """Counters since the last reset. A call counts when it arrives, a write when it has taken effect."""

    by_route: Counter[str] = field(default_factory=Counter)
    by_sample: Counter[tuple[str, int]] = field(default_factory=Counter)
    writes: list[Doc] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def total(self) -> int:
        return self.by_route.total()

    def arrived(self, route: str, sample_id: int | None) -> None:
        """Count one call."""
        self.by_route[route] += 1
        if sample_id is not None:
            self.by_sample[route, sample_id] += 1

    def wrote(self, route: str, project_id: int | None, sample_id: int | None) -> None:
        """Remember one change, in order."""
        self.writes.append({"route": route, "project": project_id, "sample": sample_id})

    def started(self) -> None:
        """One more call is in flight."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def ended(self) -> None:
        """One fewer is."""
        self.in_flight -= 1

    def reset(self) -> None:
        """Start counting anew; calls in flight stay counted as such."""
        self.by_route.clear()
        self.by_sample.clear()
        self.writes.clear()
        self.most_in_flight = self.in_flight

    def to_json(self) -> Doc:
        """Counts for the control API."""
        samples: dict[str, dict[str, int]] = {}
        for (route, sample), count in self.by_sample.items():
            samples.setdefault(str(sample), {})[route] = count
        return {
            "total": self.total,
            "routes": dict(self.by_route),
            "samples": samples,
            "writes": self.writes,
            "most_in_flight": self.most_in_flight,
        }
