"""`labelbus demo`: everything at once, on a generated dataset."""

from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop


def demo(
    folder: Annotated[Path, typer.Option(help="Where state, report and picture sheet go.")] = Path(".demo"),
    images: Annotated[int, typer.Option(min=1, max=100_000, help="How many pictures to generate.")] = 60,
    new: Annotated[bool, typer.Option("--new", help="Forget an earlier demo.")] = False,
) -> None:
    """Label generated pictures in a simulated Studio.

    A real, tiny detector does it. Nothing is downloaded, and no account is needed.
    """
    from labelbus_cli.demonstration import demonstrate

    raise typer.Exit(loop.run(demonstrate(folder, images, new=new)))
