"""The control API below /_control: what tests and demos may know and do. It needs no key."""

from dataclasses import asdict

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.clips import Segment
from labelbus_simulator.dataset import Dataset
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.faults import Fault
from labelbus_simulator.jobs import Job
from labelbus_simulator.project import Project

routes = RouteTable()


@routes.add("control-list-faults", "GET", "/_control/faults")
def list_faults(call: Call) -> Doc:
    """Rules in force, with how often each has struck."""
    return {"faults": call.studio.faults.to_json()}


@routes.add("control-add-fault", "POST", "/_control/faults")
def add_fault(call: Call) -> Doc:
    """Put a rule in force: the fields of `Fault`."""
    return {"id": call.studio.fault(Fault.from_json(call.json))}


@routes.add("control-clear-faults", "DELETE", "/_control/faults")
def clear_faults(call: Call) -> None:
    """No more faults."""
    call.studio.faults.clear()


@routes.add("control-remove-fault", "DELETE", "/_control/faults/{fault}")
def remove_fault(call: Call) -> None:
    """One rule fewer."""
    call.studio.faults.remove(call.number("fault"))


@routes.add("control-state", "GET", "/_control/state/{project}")
def state(call: Call) -> Doc:
    """All samples, lowest id first, and all proposals by job."""
    project = _project(call)
    samples = [project.show(sample) for sample in reversed(list(project.newest_first()))]
    return {"samples": samples, "proposals": {str(job): project.proposals(job) for job in project.jobs}}


@routes.add("control-truth", "GET", "/_control/truth/{project}")
def truth(call: Call) -> Doc:
    """What was drawn or sounded, by sample id: boxes or segments."""
    found = _project(call).truth.items()
    shown = {str(i): [asdict(x) if isinstance(x, Segment) else x.box() for x in items] for i, items in found}
    return {"truth": shown}


@routes.add("control-calls", "GET", "/_control/calls")
def calls(call: Call) -> Doc:
    """Counts since the last reset."""
    return call.studio.calls.to_json()


@routes.add("control-reset-calls", "DELETE", "/_control/calls")
def reset_calls(call: Call) -> None:
    """Count anew."""
    call.studio.calls.reset()


@routes.add("control-options", "POST", "/_control/options")
def options(call: Call) -> Doc:
    """Throw switches; answers all of them."""
    try:
        call.studio.set_options(**call.json)
    except ValueError as error:
        raise Refused(str(error)) from error
    return {"options": call.studio.options.model_dump()}


@routes.add("control-add-project", "POST", "/_control/projects")
def add_project(call: Call) -> Doc:
    """A project: name, labelingMethod, key, and samples as `add_samples` takes them."""
    given = call.json
    method = given.get("labelingMethod", "object_detection")
    project = call.studio.add_project(given.get("name", "Shapes"), method, given.get("key"))
    _fill(project, given)
    return {"id": project.id, "apiKey": project.key}


@routes.add("control-add-samples", "POST", "/_control/projects/{project}/samples")
def add_samples(call: Call) -> Doc:
    """More samples: how many `images` and `audio` (`seed`, `distinct`), and `damaged`, a list of kinds."""
    return {"ids": _fill(_project(call), call.json)}


@routes.add("control-edit-sample", "POST", "/_control/samples/{sample}")
def edit_sample(call: Call) -> None:
    """Change a sample as a person would; also `isProcessing` and `processingErrorString`."""
    sample_id, changes = call.number("sample"), dict(call.json)
    project = next((p for p in call.studio.projects.values() if sample_id in p.samples), None)
    if project is None:
        raise Refused("Sample not found")
    sample = project.sample(sample_id)
    sample.is_processing = changes.pop("isProcessing", sample.is_processing)
    sample.processing_error = changes.pop("processingErrorString", sample.processing_error)
    if changes:
        project.edit(sample_id, changes)


@routes.add("control-job", "POST", "/_control/jobs/{job}")
def control_job(call: Call) -> None:
    """Tell a job its `step`, a `log` line, or its end: `finished` true, with `success`."""
    job, given = _job(call), call.json
    job.step = given.get("step", job.step)
    if "log" in given:
        job.log(given["log"])
    if given.get("finished"):
        job.finish(success=given.get("success", True))


def _project(call: Call) -> Project:
    return call.studio.project(call.number("project"))


def _job(call: Call) -> Job:
    for project in call.studio.projects.values():
        if call.number("job") in project.jobs:
            return project.jobs[call.number("job")]
    raise Refused("Job not found")


def _fill(project: Project, given: Doc) -> list[int]:
    seed, distinct = given.get("seed", 0), given.get("distinct")
    ids = project.add_images(given.get("images", 0), seed=seed, distinct=distinct)
    ids += project.add_audio(given.get("audio", 0), seed=seed, distinct=distinct)
    return ids + project.add(Dataset.damaged(*given.get("damaged", [])))
