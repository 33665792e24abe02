"""Every kind of fault, seen from outside."""

import time
from typing import Any

import httpx
import pytest
from labelbus_simulator import ConnectionDropped, Fault, Refused, Studio, StudioApp

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def test_error_strikes_as_often_as_told_then_no_more(served: Any) -> None:
    """The first matching call passes, the next two fail, the rest are well."""
    number = served.studio.fault(Fault("error", route="get-sample", skip=1, times=2, status=503))
    statuses = [served.http.get("/api/1/raw-data/1").status_code for _ in range(5)]
    assert statuses == [200, 503, 503, 200, 200]
    assert served.studio.faults.struck(number) == 2


def test_rate_strikes_the_same_calls_for_the_same_seed() -> None:
    """Chance is repeatable, and near what was asked for."""
    runs = []
    for _ in range(2):
        studio = Studio()
        studio.fault(Fault("error", rate=0.3))
        runs.append([bool(studio.faults.striking("get-sample", "", 1, i)) for i in range(200)])
    assert runs[0] == runs[1]
    assert 40 < sum(runs[0]) < 80


@pytest.mark.parametrize(
    ("after", "header"), [(None, None), (2, "2"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2]
)
def test_rate_limit_names_when_to_come_back_if_told(served: Any, after: Any, header: str | None) -> None:
    """Retry-After as seconds, as a date, or not at all."""
    served.studio.fault(Fault("rate_limit", retry_after=after))
    answer = served.http.get("/api/projects")
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, header)


def test_dropped_call_has_no_answer_and_no_effect(served: Any) -> None:
    """The connection ends; nothing was done."""
    served.studio.fault(Fault("drop", route="disable", times=1))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        served.post("/raw-data/1/disable")
    assert not served.project.samples[1].is_disabled


@pytest.mark.parametrize("kind", ["drop", "truncate", "error", "refuse", "not_json"])
def test_answer_of_a_call_that_took_effect_can_be_lost(served: Any, kind: Any) -> None:
    """With `applied`, only the answer goes wrong."""
    served.studio.fault(Fault(kind, route="disable", times=1, applied=True))
    try:
        assert not served.http.post("/api/1/raw-data/1/disable").text.startswith('{"success":true')
    except httpx.RemoteProtocolError:
        assert kind in ("drop", "truncate")
    assert served.project.samples[1].is_disabled


def test_truncated_body_is_shorter_than_announced(served: Any) -> None:
    """The client notices only if it counts."""
    served.studio.fault(Fault("truncate", route="get-image"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        served.http.get("/api/1/raw-data/1/image")


def test_refusal_hides_in_http_200(served: Any) -> None:
    """With the text that was asked for."""
    served.studio.fault(Fault("refuse", route="POST /api/1/raw-data/*/metadata", message="No"))
    assert served.post("/raw-data/1/metadata", {"metadata": {}}) == {"success": False, "error": "No"}


def test_gateway_answers_html(served: Any) -> None:
    """A body that is no JSON, with any status."""
    served.studio.fault(Fault("not_json", status=502))
    answer = served.http.get("/api/projects")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


def test_latency_delays_the_answer(served: Any) -> None:
    """By what was asked for, at least."""
    served.studio.fault(Fault("latency", latency_s=0.1))
    before = time.perf_counter()
    assert served.http.get("/api/projects").status_code == 200
    assert time.perf_counter() - before >= 0.1


def test_person_edits_just_before_the_call(served: Any) -> None:
    """The write that follows finds other labels than its writer read."""
    served.studio.fault(Fault("edit", route="get-image", times=1, edit={"label": "by hand"}))
    before = served.get("/raw-data/1")["sample"]
    served.http.get("/api/1/raw-data/1/image")
    after = served.get("/raw-data/1")["sample"]
    assert (before["label"], after["label"]) == ("", "by hand")
    assert after["lastUpdatedBy"] == {"type": "user", "id": 1}


def test_edit_may_strike_another_sample(served: Any) -> None:
    """`sample_id` names whom the person edits, whatever the call is about."""
    served.studio.fault(Fault("edit", route="list-projects", sample_id=4, edit={"isDisabled": True}))
    served.http.get("/api/projects")
    assert served.project.samples[4].is_disabled


@pytest.mark.parametrize(("switch", "success"), [("refuse", False), ("empty", None)])
def test_sample_goes_back_to_processing(served: Any, switch: str, success: bool | None) -> None:
    """Its picture is refused or empty meanwhile, as the switch says."""
    served.studio.set_options(processing_media=switch)
    served.studio.fault(Fault("processing", route="get-image", times=1))
    answer = served.http.get("/api/1/raw-data/1/image")
    assert served.get("/raw-data/1")["sample"]["isProcessing"]
    assert (answer.json()["success"] if answer.content else None) is success


def test_failed_processing_is_told(served: Any) -> None:
    """With its reason."""
    served.project.samples[1].processing_error = "Corrupt JPEG"
    sample = served.get("/raw-data/1")["sample"]
    assert (sample["processingError"], sample["processingErrorString"]) == (True, "Corrupt JPEG")
    assert "Corrupt JPEG" in served.get("/raw-data/1/image")["error"]


async def test_drop_without_a_socket_is_an_exception() -> None:
    """In process there is no connection to cut."""
    studio = Studio()
    studio.fault(Fault("drop"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(StudioApp(studio)), base_url="http://s/v1"
    ) as http:
        with pytest.raises(ConnectionDropped):
            await http.get("/api/projects")


@pytest.mark.parametrize("rule", [{"kind": "earthquake"}, {"kind": "error", "colour": "red"}])
def test_unknown_fault_is_refused(rule: Any) -> None:
    """Neither kinds nor fields are guessed."""
    with pytest.raises(Refused):
        Fault.from_json(rule)
