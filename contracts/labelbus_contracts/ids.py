"""Identifiers, as types of their own so that they cannot be mixed up."""

from typing import NewType

ProjectId = NewType("ProjectId", int)
SampleId = NewType("SampleId", int)
StudioJobId = NewType("StudioJobId", int)
JobId = NewType("JobId", str)
MessageId = NewType("MessageId", str)
SecretName = NewType("SecretName", str)
"""Where a secret is found, never the secret: `env:EI_PROJECT_API_KEY` or `ledger:<name>`."""
