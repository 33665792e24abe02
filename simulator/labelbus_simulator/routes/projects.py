"""Projects, keys, and the organisation's transformation blocks."""

import secrets
from collections.abc import Iterable

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import NotAllowed, Refused
from labelbus_simulator.project import Project
from labelbus_simulator.sample import Sample, iso
from labelbus_simulator.sample import added_at as moment

routes = RouteTable()
_ROLES = ("admin", "readonly", "ingestiononly", "ingestion_deployment")


@routes.add("list-projects", "GET", "/api/projects")
def list_projects(call: Call) -> Doc:
    """The key's own project; an organisation's key sees all."""
    mine = call.key.project_id
    return {"projects": [_describe(p) for p in call.studio.projects.values() if mine in (None, p.id)]}


@routes.add("api-key-info", "GET", "/api/projects/api-key-info")
def api_key_info(call: Call) -> Doc:
    """Which project this key opens."""
    if call.key.project_id is None:
        raise Refused("This is not a project API key")
    return {"apiKeyId": call.key.id, "projectId": call.key.project_id, "role": call.key.role, "expires": None}


@routes.add("add-api-key", "POST", "/api/{project}/apikeys", writes=True)
def add_api_key(call: Call) -> Doc:
    """A new key, shown once."""
    role = call.text("role")
    if role not in _ROLES:
        raise Refused("role should be one of " + ", ".join(_ROLES))
    key = call.json.get("apiKey") or f"ei_{secrets.token_hex(16)}"
    return {"id": call.studio.add_key(key, call.project.id, role), "apiKey": key}


@routes.add("get-project", "GET", "/api/{project}")
def get_project(call: Call) -> Doc:
    """Everything about a project that does not come page by page."""
    project = call.project
    by_category = {
        name: _summary(s for s in project.samples.values() if s.category == category)
        for name, category in (
            ("training", "training"),
            ("testing", "testing"),
            ("validation", "validation"),
            ("postProcessing", "post-processing"),
        )
    }
    has_model = project.classify is not None
    return {
        **_FIXED,
        "project": _describe(project),
        "developmentKeys": {"apiKey": project.key},
        "impulse": {"created": has_model, "configured": has_model, "complete": has_model},
        "dataSummary": _summary(project.samples.values()),
        "dataSummaryPerCategory": by_category,
        "studioUrl": f"https://studio.example/studio/{project.id}",
        **({"defaultImpulseId": 1} if has_model else {}),
    }


@routes.add("update-project", "POST", "/api/{project}", writes=True)
def update_project(call: Call) -> None:
    """Change name, labeling method or metadata; other fields are taken and forgotten."""
    project, given = call.project, call.json
    project.name = str(given.get("name", project.name))
    project.labeling_method = given.get("labelingMethod", project.labeling_method)
    project.metadata = given.get("metadata", project.metadata)


@routes.add("list-blocks", "GET", "/api/organizations/{organization}/transformation")
def list_blocks(call: Call) -> Doc:
    """The organisation's transformation blocks; needs a key of the organisation."""
    if call.key.project_id is not None or call.number("organization") != call.studio.organization_id:
        raise NotAllowed("This API key does not belong to this organization")
    return {"transformationBlocks": [{**_BLOCK, "id": i, **b} for i, b in enumerate(call.studio.blocks, 1)]}


def _describe(project: Project) -> Doc:
    return {
        "id": project.id,
        "name": project.name,
        "description": "",
        "created": iso(moment(0)),
        "owner": project.owner,
        "ownerOrganizationId": project.studio.organization_id,
        "ownerIsDeveloperProfile": False,
        "collaborators": [],
        "labelingMethod": project.labeling_method,
        "metadata": project.metadata,
        "isEnterpriseProject": True,
        "whitelabelId": None,
        "tags": [],
        "tier": "enterprise",
        "hasPublicVersion": False,
        "isPublic": False,
        "allowsLivePublicAccess": False,
        "indPauseProcessingSamples": False,
        "publicProjectListed": False,
    }


def _summary(samples: Iterable[Sample]) -> Doc:
    labels: dict[str, None] = {}
    length, count = 0.0, 0
    for sample in samples:
        labels.update(dict.fromkeys(sample.labels))
        length, count = length + sample.length_ms, count + 1
    return {"totalLengthMs": length, "labels": sorted(labels), "totalLabels": len(labels), "dataCount": count}


_FIXED: Doc = {
    "devices": [],
    "computeTime": {
        "periodStartDate": iso(moment(0)),
        "periodEndDate": iso(moment(44_640)),
        "timeUsedMs": 0,
        "timeLeftMs": 3_600_000,
    },
    "acquisitionSettings": {
        "intervalMs": 16,
        "lengthMs": 10_000,
        "segmentShift": True,
        "defaultPageSize": 12,
        "viewType": "list",
        "gridColumnCount": 4,
        "gridColumnCountDetailed": 2,
        "showExactSampleLength": False,
        "inlineEditBoundingBoxes": True,
    },
    "collaborators": [],
    "deploySettings": {
        "eonCompiler": True,
        "sensor": "camera",
        "arduinoLibraryName": "",
        "tinkergenLibraryName": "",
        "particleLibraryName": "",
    },
    "experiments": [],
    "latencyDevices": [],
    "urls": {},
    "showCreateFirstImpulse": False,
    "showGettingStartedWizard": {"showWizard": False, "step": 1},
    "performance": {
        "gpu": False,
        "jobLimitM": 60,
        "dspFileSizeMb": 4096,
        "enterprisePerformance": True,
        "trainJobRamMb": 8192,
    },
    "trainJobNotificationUids": [],
    "dspJobNotificationUids": [],
    "modelTestingJobNotificationUids": [],
    "exportJobNotificationUids": [],
    "hasNewTrainingData": False,
    "inPretrainedModelFlow": False,
    "showSensorDataInAcquisitionGraph": False,
    "notifications": [],
}

_BLOCK: Doc = {
    "name": "block",
    "dockerContainer": "",
    "dockerContainerManagedByEdgeImpulse": False,
    "created": iso(moment(0)),
    "description": "",
    "cliArguments": "",
    "indMetadata": True,
    "additionalMountPoints": [],
    "operatesOn": "standalone",
    "allowExtraCliArguments": False,
    "sourceCodeAvailable": False,
    "sourceCodeDownloadStaffOnly": False,
    "isPublic": False,
    "publicProjectTierAvailability": "enterprise-only",
    "showInDataSources": False,
    "showInCreateTransformationJob": False,
    "showInSyntheticData": False,
    "showInAIActions": True,
    "environmentVariables": [],
}
