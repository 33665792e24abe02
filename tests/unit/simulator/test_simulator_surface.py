"""What the served surface is, whoever calls it."""

import io
from typing import Any

import httpx
import pytest
from labelbus_simulator import Studio, StudioApp, serve
from PIL import Image, ImageOps


def test_picture_has_the_dimensions_that_its_sample_names(served: Any) -> None:
    """Dimensions are those of the picture held upright."""
    for sample in served.get("/raw-data", category="training", dataType="image")["samples"]:
        picture = Image.open(io.BytesIO(served.http.get(f"/api/1/raw-data/{sample['id']}/image").content))
        upright = ImageOps.exif_transpose(picture)
        assert {"width": upright.width, "height": upright.height} == sample["imageDimensions"]


def test_missing_sample_is_refused_within_http_200(served: Any) -> None:
    """Studio hides its failures in HTTP 200."""
    answer = served.http.get("/api/1/raw-data/404")
    assert answer.status_code == 200
    assert answer.json() == {"success": False, "error": "Sample not found"}


@pytest.mark.parametrize("status", [200, 401])
def test_wrong_key_is_refused_with_the_chosen_status(served: Any, status: int) -> None:
    """Both statuses that the real one may use are available."""
    served.studio.set_options(wrong_key_status=status)
    answer = served.http.get("/api/projects", headers={"x-api-key": "ei_wrong"})
    assert (answer.status_code, answer.json()["success"]) == (status, False)


def test_studio_is_served_on_a_free_port() -> None:
    """`serve` yields the endpoint that clients are given."""
    with serve(Studio()) as url:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        assert httpx.get(f"{url}/api/nothing").status_code == 404


async def test_application_answers_without_a_socket() -> None:
    """`Studio.app` is an ASGI application."""
    studio = Studio()
    project = studio.add_project()
    transport = httpx.ASGITransport(StudioApp(studio))
    headers = {"x-api-key": project.key}
    async with httpx.AsyncClient(transport=transport, base_url="http://sim/v1", headers=headers) as http:
        answer = (await http.get("/api/projects")).json()
    assert answer["projects"][0]["id"] == project.id
