"""Jobs, and AI labeling actions."""

from dataclasses import dataclass, field

from labelbus_simulator.documents import Doc
from labelbus_simulator.sample import now


@dataclass(slots=True)
class Job:
    """A job; nothing runs by itself: tests (or the control API) set its step, its log and its end."""

    id: int
    key: str
    category: str = "AI labeling"
    action_id: int | None = None
    sample_ids: list[int] = field(default_factory=list)
    steps: list[Doc] = field(default_factory=list)
    step: int = 0
    stdout: list[Doc] = field(default_factory=list)
    created: str = field(default_factory=now)
    started: str | None = None
    finished: str | None = None
    succeeded: bool | None = None
    proposals: dict[tuple[int, int], Doc] = field(default_factory=dict)
    """By (step, sample id)."""
    polls_left: int | None = None
    """Status reads until a split job ends by itself."""
    split_sample: int | None = None
    split_fps: int | None = None
    """Frames per second that were asked for."""

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log."""
        self.stdout.append({"created": now(), "data": text, "logLevel": level})

    def finish(self, *, success: bool = True) -> None:
        """End the job, once."""
        if self.finished is None:
            self.finished, self.succeeded = now(), success

    def proposals_before(self, step: int | None, sample_id: int) -> list[Doc]:
        """What steps before `step` (None: all) proposed for a sample, earliest first."""
        rows = sorted((s, changes) for (s, sample), changes in self.proposals.items() if sample == sample_id)
        return [changes for s, changes in rows if step is None or s < step]

    def to_json(self) -> Doc:
        """The job as the status call answers it."""
        doc: Doc = {
            "id": self.id,
            "category": self.category,
            "categoryKey": self.key,
            "key": f"{self.key}-{self.id}",
            "created": self.created,
            "jobNotificationUids": [],
            "started": self.started,
            "finished": self.finished,
            "finishedSuccessful": self.succeeded,
        }
        return {key: value for key, value in doc.items() if value is not None}


@dataclass(slots=True)
class Action:
    """An AI labeling action, as a new one starts."""

    id: int
    name: str = ""
    config: Doc = field(default_factory=lambda: {"dataCategory": "unlabeledData", "steps": []})
    preview: Doc = field(default_factory=lambda: {"dataCategory": "unlabeledData", "steps": []})
    preview_count: int = 20
    after_running: list[Doc] = field(default_factory=list)
    cache_unchanged_steps: bool = True
    last_preview_job: int | None = None

    def to_json(self) -> Doc:
        """The action without its last preview, which only its project can show."""
        return {
            "id": self.id,
            "name": self.name,
            "displayName": self.name or f"AI labeling action #{self.id}",
            "config": self.config,
            "previewConfig": self.preview,
            "maxDataPreviewCount": self.preview_count,
            "gridColumnCount": 4,
            "setMetadataAfterRunning": self.after_running,
            "cacheUnchangedSteps": self.cache_unchanged_steps,
        }
