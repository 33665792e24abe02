"""A project: samples, keys, jobs, actions, proposals, and its model's answers."""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from labelbus_simulator.dataset import Dataset, NewSample, Truth, uploaded
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.filters import Filter
from labelbus_simulator.jobs import Action, Job
from labelbus_simulator.labels import check_boxes, check_metadata, check_ranges, check_text
from labelbus_simulator.sample import Sample, measures, sample_json, with_proposals

if TYPE_CHECKING:
    from labelbus_simulator.studio import Studio

LabelingMethod = Literal["single_label", "object_detection", "label_map"]
HUMAN: Doc = {"type": "user", "id": 1}
Classifier = Callable[[bytes], Doc]
_SPLIT_FPS = 10
"""Frames per second where a split names none."""


class Project:
    """One project of a Studio. Made by `Studio.add_project`."""

    def __init__(
        self, studio: "Studio", project_id: int, name: str, method: LabelingMethod, key: str
    ) -> None:
        self.studio, self.id, self.name, self.labeling_method = studio, project_id, name, method
        self.key = key
        self.owner = "Simulated organisation"
        self.metadata: Doc = {}
        self.samples: dict[int, Sample] = {}
        self.truth: dict[int, Truth] = {}
        self.jobs: dict[int, Job] = {}
        self.actions: dict[int, Action] = {}
        self.classify: Classifier | None = None
        """Answers classify/image; None is a project without an impulse. Boxes are given in pixels."""
        self._ids: list[int] = []

    # ---- samples -------------------------------------------------------------------------------------

    def add(self, dataset: Iterable[NewSample]) -> list[int]:
        """Add samples; returns their ids."""
        return [self._add_one(new).id for new in dataset]

    def add_images(self, count: int, **more: object) -> list[int]:
        """Add pictures of shapes, see `Dataset.images`."""
        return self.add(Dataset.images(count, **more))  # type: ignore[arg-type]  # keywords of Dataset.images

    def add_audio(self, count: int, **more: object) -> list[int]:
        """Add sound clips, see `Dataset.audio`."""
        return self.add(Dataset.audio(count, **more))  # type: ignore[arg-type]  # keywords of Dataset.audio

    def add_sample(self, filename: str, data: bytes, **fields: object) -> int:
        """Add one sample of given bytes; its kind follows from the file's name."""
        return self._add_one(uploaded(filename, data, **fields)).id

    def add_video(self, filename: str = "video.mp4", *, frames: int = 3, **fields: object) -> int:
        """Add a video that splits into `frames` pictures. Its bytes are no real video."""
        fields = {"video_frames": frames, "label": "", **fields}
        return self.add_sample(filename, b"\0\0\0\x18ftypmp42", **fields)

    def _add_one(self, new: NewSample) -> Sample:
        sample_id = self.studio.next_sample_id()
        upright = self.studio.options.image_dimensions == "upright"
        fields = {**measures(new.content, upright=upright), **new.fields}
        sample = Sample(sample_id, self.id, new.filename, new.content, **fields)
        self.samples[sample_id] = sample
        self.truth[sample_id] = new.truth
        self._ids.append(sample_id)
        return sample

    def sample(self, sample_id: int) -> Sample:
        """The sample. Raises Refused when this project has none of that id."""
        found = self.samples.get(sample_id)
        if found is None:
            raise Refused("Sample not found")
        return found

    def delete(self, sample_id: int) -> None:
        """Forget a sample."""
        del self.samples[self.sample(sample_id).id]
        del self._ids[bisect_left(self._ids, sample_id)]

    def find(self, wanted: Filter) -> list[Sample]:
        """Samples that pass, highest id first."""
        if wanted.nothing:
            return []
        low = 0 if wanted.min_id is None else bisect_left(self._ids, wanted.min_id)
        high = len(self._ids) if wanted.max_id is None else bisect_left(self._ids, wanted.max_id)
        found = (self.samples[i] for i in reversed(self._ids[low:high]))
        return [sample for sample in found if wanted(sample)] if wanted.tests else list(found)

    def newest_first(self) -> Iterator[Sample]:
        """All samples."""
        return (self.samples[i] for i in reversed(self._ids))

    def show(self, sample: Sample, job: Job | None = None, **how: object) -> Doc:
        """The sample's JSON, with what earlier steps of `job` proposed."""
        project = {
            "projectName": self.name,
            "projectOwnerName": self.owner,
            "projectLabelingMethod": self.labeling_method,
        }
        doc = sample_json(sample, project, **how)  # type: ignore[arg-type]  # keywords of sample_json
        return with_proposals(doc, self.earlier_proposals(job, sample.id)) if job else doc

    def edit(self, sample_id: int, changes: Doc, by: Doc | None = None) -> None:
        """Change a sample as a person would in Studio; `changes` are fields as propose-changes takes them."""
        sample = self.sample(sample_id)
        for name, value in self._checked(sample, changes).items():
            setattr(sample, name, value)
        sample.touch(by or HUMAN)

    def _checked(self, sample: Sample, changes: Doc) -> Doc:
        outside = self.studio.options.boxes_outside
        checks: dict[str, tuple[str, Callable[[object], object]]] = {
            "label": ("label", lambda v: check_text(v, "label")),
            "isDisabled": ("is_disabled", bool),
            "boundingBoxes": ("boxes", lambda v: check_boxes(v, sample.size, outside)),
            "metadata": ("metadata", check_metadata),
            "structuredLabels": ("ranges", lambda v: check_ranges(v, sample.values_count)),
        }
        unknown = set(changes) - set(checks)
        if unknown:
            raise Refused(f"A sample has no {', '.join(sorted(unknown))} to change")
        chosen = {name: value for name, value in changes.items() if value is not None}
        return {checks[name][0]: checks[name][1](value) for name, value in chosen.items()}

    # ---- jobs and proposals --------------------------------------------------------------------------

    def add_job(self, key: str = "ai-actions-preview", **fields: object) -> Job:
        """A running job (a preview of AI labeling unless `key` says otherwise)."""
        job = Job(self.studio.next_job_id(), key, **fields)  # type: ignore[arg-type]  # fields of Job
        job.started = job.created
        self.jobs[job.id] = job
        return job

    def job(self, job_id: int) -> Job:
        """The job. Raises Refused when this project has none of that id."""
        found = self.jobs.get(job_id)
        if found is None:
            raise Refused("Job not found")
        return found

    def add_block_key(self, job: Job) -> str:
        """A key as Studio injects into a block's container for one job."""
        key = f"ei_block_{self.id}_{job.id}"
        self.studio.add_key(key, self.id, "admin", job_id=job.id)
        return key

    def propose(self, job_id: int, sample_id: int, changes: object) -> None:
        """Keep proposed changes for the job's current step, in place of earlier ones of that step."""
        options, sample = self.studio.options, self.sample(sample_id)
        if job_id not in self.jobs and options.unknown_job == "accept":
            self.jobs[job_id] = Job(job_id, "ai-actions-preview")
        job = self.job(job_id)
        if job.finished and not options.proposals_after_job_end:
            raise Refused("Job has already finished")
        if not isinstance(changes, dict):
            raise Refused("proposedChanges should be an object")
        if options.propose_validates:
            self._checked(sample, changes)
        step = job.step if options.proposal_step == "job" else 0
        job.proposals[step, sample_id] = {k: v for k, v in changes.items() if v is not None}

    def earlier_proposals(self, job: Job, sample_id: int) -> list[Doc]:
        """What a step sees: the proposals of the steps before it, or all once the job has finished."""
        everything = job.finished is not None or self.studio.options.proposal_step == "first"
        return job.proposals_before(None if everything else job.step, sample_id)

    def proposals(self, job_id: int) -> list[Doc]:
        """Every proposal of a job, by step and sample."""
        rows = sorted(self.job(job_id).proposals.items(), key=lambda row: row[0])
        return [
            {"sampleId": sample, "step": step, "proposedChanges": changes} for (step, sample), changes in rows
        ]

    # ---- actions -------------------------------------------------------------------------------------

    def add_action(self) -> Action:
        """An empty action."""
        action = Action(max(self.actions, default=0) + 1)
        self.actions[action.id] = action
        return action

    def action(self, action_id: int) -> Action:
        """The action. Raises Refused when this project has none of that id."""
        found = self.actions.get(action_id)
        if found is None:
            raise Refused("AI action not found")
        return found

    def chosen_by(self, config: Doc) -> list[Sample]:
        """The samples that an action's data category chooses."""
        key, value = config.get("dataMetadataKey"), config.get("dataMetadataValue")
        tests: dict[str, Callable[[Sample], bool]] = {
            "allData": lambda s: True,
            "enabledData": lambda s: not s.is_disabled,
            "unlabeledData": self._is_unlabeled,
            "dataWithoutMetadataKey": lambda s: key not in s.metadata,
            "dataWithMetadata": lambda s: s.metadata.get(str(key)) == value,
        }
        test = tests.get(str(config.get("dataCategory")))
        if test is None:
            raise Refused("dataCategory should be one of " + ", ".join(tests))
        return [sample for sample in self.newest_first() if test(sample)]

    def _is_unlabeled(self, sample: Sample) -> bool:
        if self.labeling_method == "object_detection":
            return not sample.boxes
        if self.labeling_method == "label_map":
            return not sample.label_map
        return not sample.label and not sample.ranges

    def finish_split(self, job: Job) -> list[int]:
        """Turn a split job's video into pictures; the video goes. A broken one stays, and the job fails."""
        video = self.sample(job.split_sample or 0)
        video.is_processing, video.processing_job_id = False, None
        if video.video_is_broken:
            job.log("Could not read the video", "error")
            job.finish(success=False)
            return []
        stem = video.filename.rsplit(".", 1)[0]
        count = video.video_frames
        if video.video_seconds is not None:
            count = max(1, int(video.video_seconds * (job.split_fps or _SPLIT_FPS)))
        frames = Dataset.images(count, seed=video.id, category=video.category, frames_of=video.id)
        for i, frame in enumerate(frames):
            frame.filename = f"{stem}.frame{i:04d}.{frame.filename.rsplit('.', 1)[1]}"
        self.delete(video.id)
        job.finish()
        return self.add(frames)

    def at_random(self, samples: list[Sample], count: int) -> list[Sample]:
        """A repeatable random choice."""
        rng = random.Random(f"{self.studio.options.seed}:{self.id}:{count}")  # noqa: S311  # repeatable on purpose
        return rng.sample(samples, min(count, len(samples)))
