"""Jobs: status, log, cancel."""

from labelbus_simulator.call import Call, Reply, RouteTable
from labelbus_simulator.documents import Doc
from labelbus_simulator.filters import integer
from labelbus_simulator.jobs import Job

routes = RouteTable()
_ONE = "/api/{project}/jobs/{job}"
_LOG_LINES = 1000


@routes.add("list-jobs", "GET", "/api/{project}/jobs")
def list_jobs(call: Call) -> Doc:
    """Jobs that have not finished."""
    return _list([job for job in call.project.jobs.values() if job.finished is None])


@routes.add("list-all-jobs", "GET", "/api/{project}/jobs/all")
def list_all_jobs(call: Call) -> Doc:
    """Every job."""
    return _list(list(call.project.jobs.values()))


@routes.add("job-status", "GET", f"{_ONE}/status")
def job_status(call: Call) -> Doc:
    """One job. A split job ends after as many reads as the options say."""
    job = _job(call)
    if job.polls_left is not None and job.finished is None:
        job.polls_left -= 1
        if job.polls_left <= 0:
            call.project.finish_split(job)
    return {"job": job.to_json()}


@routes.add("job-log", "GET", f"{_ONE}/stdout")
def job_log(call: Call) -> Doc:
    """The last lines of a job's log, newest first."""
    lines = _job(call).stdout
    level = call.query.get("logLevel")
    chosen = [line for line in lines if level in (None, line.get("logLevel"))]
    limit = min(integer(call.query, "limit") or _LOG_LINES, _LOG_LINES)
    return {"stdout": chosen[-limit:][::-1], "totalCount": len(chosen)}


@routes.add("download-job-log", "GET", f"{_ONE}/stdout/download")
def download_job_log(call: Call) -> Reply:
    """The whole log."""
    return Reply("\n".join(line["data"] for line in _job(call).stdout).encode(), "text/plain")


@routes.add("cancel-job", "POST", f"{_ONE}/cancel", writes=True)
def cancel_job(call: Call) -> None:
    """End a job without success."""
    _job(call).finish(success=False)


def _job(call: Call) -> Job:
    return call.project.job(call.number("job"))


def _list(jobs: list[Job]) -> Doc:
    return {"jobs": [job.to_json() for job in reversed(jobs)], "totalJobCount": len(jobs)}
