"""`python -m labelbus_simulator.models`: serve one stand-in for a model API until interrupted."""

from collections.abc import Callable
from typing import Annotated, Final

import typer
from starlette.applications import Starlette

from labelbus_simulator.models import beam_app, huggingface_app, openai_app, serve_model
from labelbus_simulator.server import wait_for_interrupt

_APPS: Final[dict[str, tuple[Callable[[], Starlette], str]]] = {
    "openai": (openai_app, "OPENAI_MODEL=simulated OPENAI_BASE_URL={url}/v1"),
    "huggingface": (huggingface_app, "HF_INFERENCE_ENDPOINT={url}/"),
    "beam": (beam_app, "BEAM_ENDPOINT={url} BEAM_ACCESS_KEY=any"),
}


def main(
    api: Annotated[str, typer.Argument(help=f"One of {', '.join(_APPS)}.")],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 4801,
) -> None:
    """Serve a stand-in that needs no key and costs nothing; it sees coloured shapes, it hears tones."""
    if api not in _APPS:
        raise typer.BadParameter(f"There is no stand-in for {api}. Choose from {', '.join(_APPS)}.")
    make, variables = _APPS[api]
    with serve_model(make(), port=port) as url:
        typer.echo(f"export {variables.format(url=url)}")
        wait_for_interrupt()


if __name__ == "__main__":
    typer.run(main)
