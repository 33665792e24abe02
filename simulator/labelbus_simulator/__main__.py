"""`python -m labelbus_simulator`: serve one project until interrupted."""

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from labelbus_simulator.damage import DAMAGES, Damage
from labelbus_simulator.dataset import Dataset
from labelbus_simulator.errors import Refused
from labelbus_simulator.faults import Fault
from labelbus_simulator.models.eyes import answer_with_boxes, answer_with_result
from labelbus_simulator.options import SimulatorOptions
from labelbus_simulator.project import LabelingMethod
from labelbus_simulator.server import serve, wait_for_interrupt
from labelbus_simulator.studio import Studio

Method = Annotated[str, typer.Option(help="single_label, object_detection or label_map.")]
FaultRule = Annotated[
    list[str] | None,
    typer.Option("--fault", help='JSON, e.g. \'{"kind": "error", "route": "get-*", "rate": 0.02}\'.'),
]
Distinct = Annotated[int | None, typer.Option(help="How many different pictures and clips there are.")]
Broken = Annotated[list[str] | None, typer.Option("--damaged", help=f"One bad sample: {', '.join(DAMAGES)}.")]


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 4800,
    images: Annotated[int, typer.Option(help="Pictures of coloured shapes.")] = 40,
    audio: Annotated[int, typer.Option(help="Sound clips of 2 s.")] = 0,
    videos: Annotated[int, typer.Option(help="Videos of 1 s, to be split into pictures.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="Add the pictures, WAVs and videos in a folder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides pictures, sounds and faults.")] = 0,
    distinct: Distinct = None,
    rotated: Annotated[float, typer.Option(help="Share of pictures with an EXIF turn.")] = 0.0,
    with_boxes: Annotated[bool, typer.Option(help="Give the pictures their true boxes.")] = False,
    method: Method = "object_detection",
    name: Annotated[str, typer.Option(help="Name of the project.")] = "Shapes",
    key: Annotated[str, typer.Option(help="API key of the project.")] = "ei_simulated",
    source_key: Annotated[
        str | None, typer.Option(help="Add a second project whose impulse knows the shapes; its API key.")
    ] = None,
    faults: FaultRule = None,
    broken: Broken = None,
) -> None:
    """Serve a simulated Edge Impulse Studio with one project, in memory."""
    studio = Studio(SimulatorOptions(seed=seed))
    project = studio.add_project(name, cast(LabelingMethod, method), key)
    project.classify = answer_with_boxes if method == "object_detection" else answer_with_result
    if source_key:
        source = studio.add_project("Source", cast(LabelingMethod, method), source_key)
        source.classify = project.classify
    boxes = "truth" if with_boxes else "none"
    project.add_images(images, seed=seed, distinct=distinct, rotated=rotated, boxes=boxes)
    project.add_audio(audio, seed=seed, distinct=distinct, pieces=2)
    for nr in range(videos):
        project.add_video(f"video-{nr:06d}.mp4", video_seconds=1.0)
    if folder:
        project.add(Dataset.folder(folder))
    project.add(Dataset.damaged(*(cast(Damage, kind) for kind in broken or [])))
    for rule in faults or []:
        studio.fault(_fault(rule))
    with serve(studio, port=port, host=host) as url:
        typer.echo(f"export EI_API_ENDPOINT={url}\nexport EI_PROJECT_API_KEY={key}")
        typer.echo(f"Project {project.id} with {len(project.samples)} samples. Ctrl-C ends it.", err=True)
        wait_for_interrupt()


def _fault(rule: str) -> Fault:
    try:
        return Fault.from_json(json.loads(rule))
    except (ValueError, Refused) as error:
        raise typer.BadParameter(f"{rule} is no fault: {error}.") from error


if __name__ == "__main__":
    typer.run(main)
