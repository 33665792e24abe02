"""AI labeling actions, and the jobs that they start."""

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.jobs import Action
from labelbus_simulator.labels import check_integer

routes = RouteTable()
_ALL = "/api/{project}/ai-actions"
_ONE = "/api/{project}/ai-actions/{action}"


@routes.add("list-actions", "GET", _ALL)
def list_actions(call: Call) -> Doc:
    """Every action, in its order."""
    return {"actions": [_show(call, action) for action in call.project.actions.values()]}


@routes.add("new-action", "GET", f"{_ALL}/new")
def new_action(call: Call) -> Doc:
    """What an action starts as; nothing is created."""
    return {"action": Action(-1).to_json()}


@routes.add("create-action", "POST", f"{_ALL}/create", writes=True)
def create_action(call: Call) -> Doc:
    """An empty action."""
    return {"id": call.project.add_action().id}


@routes.add("order-actions", "POST", f"{_ALL}/order", writes=True)
def order_actions(call: Call) -> None:
    """Put the actions in order; all must be named."""
    order, actions = call.json.get("orderByActionId"), call.project.actions
    if not isinstance(order, list) or set(order) != set(actions):
        raise Refused("orderByActionId should name every action once")
    call.project.actions = {action_id: actions[action_id] for action_id in order}


@routes.add("get-action", "GET", _ONE)
def get_action(call: Call) -> Doc:
    """One action."""
    return {"action": _show(call, _action(call))}


@routes.add("delete-action", "DELETE", _ONE, writes=True)
def delete_action(call: Call) -> None:
    """Delete an action."""
    del call.project.actions[_action(call).id]


@routes.add("update-action", "POST", _ONE, writes=True)
def update_action(call: Call) -> None:
    """Replace an action's settings."""
    action, given = _action(call), call.json
    action.name = given.get("name") or action.name
    action.config = {**_data_of(given), "steps": _steps(given)}
    action.preview = dict(action.config)
    action.after_running = given.get("setMetadataAfterRunning", [])


@routes.add("preview-samples", "POST", f"{_ONE}/preview-samples")
def preview_samples(call: Call) -> Doc:
    """Random samples that the settings would choose. Action -1 stands for settings that are not saved."""
    project, given = call.project, call.json
    count = check_integer(given.get("maxDataPreviewCount"), "maxDataPreviewCount")
    found = project.chosen_by(given)
    if given.get("saveConfig"):
        action = _action(call)
        action.preview = {**action.preview, **_data_of(given)}
        action.preview_count = count
    shown = [project.show(s) for s in project.at_random(found, count)]
    return {"samples": shown, "totalCount": len(found)}


@routes.add("clear-proposals", "GET", f"{_ONE}/clear-proposed-changes", writes=True)
def clear_proposals(call: Call) -> None:
    """Forget what was proposed in the action's previews: a GET that changes something."""
    action = _action(call)
    for job in call.project.jobs.values():
        if job.action_id == action.id:
            job.proposals.clear()
    action.last_preview_job = None


@routes.add("start-preview", "POST", "/api/{project}/jobs/ai-actions/{action}/preview", writes=True)
def start_preview(call: Call) -> Doc:
    """A preview job over given samples; it runs until it is told to end."""
    ids = call.json.get("sampleIds")
    if not isinstance(ids, list):
        raise Refused("sampleIds is required and should be an array")
    for sample_id in ids:
        call.project.sample(check_integer(sample_id, "sampleIds"))
    action = _action(call)
    job = call.project.add_job(action_id=action.id, sample_ids=ids, steps=_steps(call.json))
    action.last_preview_job = job.id
    return {"id": job.id}


@routes.add("start-action", "POST", "/api/{project}/jobs/ai-actions/{action}", writes=True)
def start_action(call: Call) -> Doc:
    """An apply job; the server chooses the samples by the saved settings."""
    action = _action(call)
    ids = [sample.id for sample in call.project.chosen_by(action.config)]
    job = call.project.add_job(
        "ai-actions", action_id=action.id, sample_ids=ids, steps=action.config["steps"]
    )
    return {"id": job.id}


def _action(call: Call) -> Action:
    return call.project.action(call.number("action"))


def _show(call: Call, action: Action) -> Doc:
    doc, project = action.to_json(), call.project
    if action.last_preview_job is not None:
        job = project.job(action.last_preview_job)
        samples = [project.show(project.samples[i]) for i in job.sample_ids if i in project.samples]
        doc["lastPreviewState"] = {"samples": samples, "proposedChanges": project.proposals(job.id)}
    return doc


def _data_of(given: Doc) -> Doc:
    names = ("dataCategory", "dataMetadataKey", "dataMetadataValue")
    return {name: given[name] for name in names if given.get(name) is not None}


def _steps(given: Doc) -> list[Doc]:
    steps = given.get("steps")
    if not isinstance(steps, list):
        raise Refused("steps is required and should be an array")
    for step in steps:
        check_integer(step.get("transformationBlockId"), "transformationBlockId")
        if not all(isinstance(value, str) for value in step.get("parameters", {}).values()):
            raise Refused("parameters should be strings")
    return steps
