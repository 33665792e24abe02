"""Who may write a sample, who has written it, and what a committer asks for: values, no statements."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import Base, LabelPart, LabelSet

SampleKey: TypeAlias = tuple[ProjectId, SampleId]


@dataclass(frozen=True, slots=True)
class Claim:
    """Who may write a sample for `left_s` more, what was there before, and what it is to become."""

    project_id: ProjectId
    sample_id: SampleId
    job_id: JobId
    run: int
    token: str
    left_s: float
    found: LabelSet
    target: LabelSet


@dataclass(frozen=True, slots=True)
class CommitMark:
    """One commit of a sample, without its labels. `changed` are the parts that were written."""

    job_id: JobId
    run: int
    committed_at: float
    changed: tuple[LabelPart, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a sample: its claim, and its commits, latest first."""

    claim: Claim | None
    commits: tuple[CommitMark, ...]

    def of_job(self, job_id: JobId) -> CommitMark | None:
        """Return the job's own commit."""
        return next((mark for mark in self.commits if mark.job_id == job_id), None)

    def of_others(self, job_id: JobId) -> tuple[CommitMark, ...]:
        """Return the other jobs' commits, latest first."""
        return tuple(mark for mark in self.commits if mark.job_id != job_id)


@dataclass(frozen=True, slots=True)
class ClaimWish:
    """Ask for a sample. `seen` is what was known when the plan was made; a difference makes it stale.

    `seen.claim`, where there is one, is replaced: the caller has found it lapsed. `anyway` asks for it
    though the job has stopped: to finish what an earlier attempt has half written.
    """

    project_id: ProjectId
    sample_id: SampleId
    job_id: JobId
    run: int
    token: str
    ttl_s: float
    found: LabelSet
    target: LabelSet
    seen: Standing
    anyway: bool = False

    @property
    def key(self) -> SampleKey:
        """Return the claim's primary key."""
        return (self.project_id, self.sample_id)


ClaimAnswer: TypeAlias = Literal["taken", "busy", "stale", "stopped"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A finished write: the commit to record, under the claim of `token`."""

    project_id: ProjectId
    sample_id: SampleId
    job_id: JobId
    run: int
    token: str
    base: Base
    found: LabelSet
    target: LabelSet
    changed: tuple[LabelPart, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Give up a claim: forget it, or (`keep`) let it lapse now so that the next attempt reads back first."""

    project_id: ProjectId
    sample_id: SampleId
    token: str
    keep: bool
