"""A small tolerant client for the Edge Impulse Studio API."""

from labelbus_studio.action_calls import LogLine, StudioAction, StudioJob, StudioStep, TransformationBlock
from labelbus_studio.client import StudioClient, StudioClients
from labelbus_studio.errors import (
    JobNotFound,
    KeyRefused,
    SampleNotFound,
    StudioConfused,
    StudioError,
    StudioRefused,
    StudioUnavailable,
)
from labelbus_studio.project_calls import Classification, KeyInfo, Project, ProjectInfo, ScoredBox
from labelbus_studio.proposals import Proposal, ProposedChanges
from labelbus_studio.query import MetadataFilter, SampleQuery
from labelbus_studio.samples import Sample, is_unlabeled
from labelbus_studio.settings import StudioSettings

__all__ = [
    "Classification",
    "JobNotFound",
    "KeyInfo",
    "KeyRefused",
    "LogLine",
    "MetadataFilter",
    "Project",
    "ProjectInfo",
    "Proposal",
    "ProposedChanges",
    "Sample",
    "SampleNotFound",
    "SampleQuery",
    "ScoredBox",
    "StudioAction",
    "StudioClient",
    "StudioClients",
    "StudioConfused",
    "StudioError",
    "StudioJob",
    "StudioRefused",
    "StudioSettings",
    "StudioStep",
    "StudioUnavailable",
    "TransformationBlock",
    "is_unlabeled",
]
