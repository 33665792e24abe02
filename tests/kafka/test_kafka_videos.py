"""Videos on a real broker: the committer that has Studio split them is killed, and none is split twice."""

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
PARAMETERS = {"prompt": "What is this?", "auto_convert_videos": True, "extract_frames_per_second": 5}
ACTION = json.dumps({"name": "name", "steps": [{"labeler": "images", "parameters": PARAMETERS}]})


def test_a_killed_committer_splits_no_video_twice(cluster: Any) -> None:
    """While Studio still splits: its successor waits for the same job, and the frames are labeled."""
    cluster.need("dispatcher", "committer", "labeler images")
    project = cluster.add_project("Videos", "single_label")
    pictures = project.add_images(2)
    videos = [project.add_video(f"clip-{nr}.mp4", video_seconds=1.0) for nr in range(2)]
    options = cluster.studio.options
    cluster.studio.set_options(split_polls=1_000_000)
    try:
        job_id = cluster.submit([*pictures, *videos], "--apply", action=ACTION, project=project)
        cluster.until(lambda: len(project.jobs) == 2, "Studio splits both")
        cluster.kill("committer-1")
        cluster.start("committer")
        for job in list(project.jobs.values()):
            project.finish_split(job)
        assert "14 committed" in cluster.watch(job_id)
    finally:
        cluster.studio.options = options
    assert cluster.writes("split-video", videos) == dict.fromkeys(videos, 1)
    frames = [one.id for one in project.samples.values() if one.frames_of in videos]
    assert len(frames) == 10
    assert cluster.writes("edit-label", [*pictures, *frames]) == dict.fromkeys([*pictures, *frames], 1)
