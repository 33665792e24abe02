"""The Studio: projects, keys, options, faults and the count of calls; all in memory."""

import secrets
from dataclasses import dataclass

from labelbus_simulator.calls import Calls
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import NotAllowed, Refused
from labelbus_simulator.faults import Fault, Faults
from labelbus_simulator.options import SimulatorOptions
from labelbus_simulator.project import LabelingMethod, Project


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of a project, or of the organisation when `project_id` is None."""

    id: int
    project_id: int | None
    role: str
    job_id: int | None = None


class Studio:
    """Everything that the simulated Studio knows. Its state may be read and changed at any time."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self.projects: dict[int, Project] = {}
        self.keys: dict[str, Key] = {}
        self.faults = Faults(self.options.seed)
        self.calls = Calls()
        self.blocks: list[Doc] = []
        """Transformation blocks of the organisation, as its list answers them."""
        self.organization_id = 1
        self._last_sample = 0
        self._last_job = 0

    def add_project(
        self,
        name: str = "Shapes",
        labeling_method: LabelingMethod = "object_detection",
        key: str | None = None,
    ) -> Project:
        """Add an empty project with an admin key (a random one unless given)."""
        project_id = max(self.projects, default=0) + 1
        chosen = key or f"ei_{secrets.token_hex(16)}"
        project = Project(self, project_id, name, labeling_method, chosen)
        self.projects[project_id] = project
        self.add_key(chosen, project_id, "admin")
        return project

    def add_key(self, key: str, project_id: int | None, role: str, job_id: int | None = None) -> int:
        """Let `key` open a project; returns the key's number. One with `job_id` may die with that job."""
        if key in self.keys:
            raise ValueError(f"The key {key[:6]}… is in use. Give every project a key of its own.")
        number = len(self.keys) + 1
        self.keys[key] = Key(number, project_id, role, job_id)
        return number

    def revoke(self, key: str) -> None:
        """Make a key unknown."""
        self.keys.pop(key, None)

    def authenticate(self, key: str) -> Key:
        """The key's record. Raises NotAllowed when it is unknown or has died with its job."""
        known = self.keys.get(key)
        if known is None:
            raise NotAllowed("Invalid API key")
        if known.job_id is not None and self.options.key_dies_with_job and self._job_ended(known):
            raise NotAllowed("Invalid API key")
        return known

    def project(self, project_id: int) -> Project:
        """The project. Raises Refused when there is none."""
        found = self.projects.get(project_id)
        if found is None:
            raise Refused("Project not found")
        return found

    def fault(self, fault: Fault) -> int:
        """Put a fault in force; returns its number."""
        return self.faults.add(fault)

    def set_options(self, **changes: object) -> None:
        """Throw switches while running."""
        self.options = SimulatorOptions.model_validate({**self.options.model_dump(), **changes})

    def next_sample_id(self) -> int:
        """Sample ids are unique over all projects."""
        self._last_sample += 1
        return self._last_sample

    def next_job_id(self) -> int:
        """Job ids are unique over all projects."""
        self._last_job += 1
        return self._last_job

    def _job_ended(self, key: Key) -> bool:
        project = self.projects.get(key.project_id or 0)
        job = project.jobs.get(key.job_id or 0) if project else None
        return job is None or job.finished is not None
