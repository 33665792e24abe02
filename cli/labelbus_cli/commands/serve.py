"""`labelbus serve` and `labelbus start`: long-running processes."""

from typing import Annotated, Any

import typer

serve_app = typer.Typer(no_args_is_help=True, help="Serve a model to others.")
start_app = typer.Typer(no_args_is_help=True, help="Start a service of a cluster, on Kafka.")
HostOption = Annotated[str, typer.Option(help="Where to answer /live, /ready and /metrics.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535)]


@serve_app.callback()
def _serve() -> None:
    """Keep `serve` a group although it has one command."""


@serve_app.command("detector")
def detector(
    host: Annotated[str | None, typer.Option(help="Beyond loopback LABELBUS_SERVE_TOKEN is needed.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
) -> None:
    """Serve the detector over HTTP, for BEAM_ENDPOINT of others.

    Requests and answers are those of the official block's endpoint.
    """
    import os

    import uvicorn
    from labelbus_detector.serve import serve_app as app_of
    from labelbus_detector.settings import DetectorSettings

    from labelbus_cli.session import configure_logs

    configure_logs(level="INFO")
    given = {"serve_host": host, "serve_port": port}
    settings = DetectorSettings.from_environment(os.environ)
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    app = app_of(settings)
    uvicorn.run(app, host=settings.serve_host, port=settings.serve_port, log_config=None, access_log=False)


@start_app.command("dispatcher")
def dispatcher(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Start a dispatcher."""
    _start("labelbus_dispatcher", host, port)


@start_app.command("detector")
def labeler_detector(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Start a worker of the labeler owl-vit."""
    _start("labelbus_detector", host, port)


@start_app.command("labeler")
def labeler(
    name: Annotated[
        str, typer.Argument(metavar="LABELER", help="For example relabel; see `labelbus labelers list`.")
    ],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """Start a worker of any labeler that is installed."""
    from labelbus_labeling.app import kafka_app
    from labelbus_labeling.registry import find

    _run(kafka_app(find(name)), host, port)


@start_app.command("committer")
def committer(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Start a committer."""
    _start("labelbus_committer", host, port)


def _start(package: str, host: str, port: int) -> None:
    """Serve a package's app, as `_run` does."""
    from importlib import import_module

    _run(import_module(f"{package}.app").app, host, port)


def _run(app: Any, host: str, port: int) -> None:
    """Serve until told to stop. Where Kafka, the ledger or the model cannot be had, the log says so."""
    import uvicorn

    from labelbus_cli.foreign import understood

    try:
        uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)
    except SystemExit:
        if app.failure is None:
            raise
        known = understood(app.failure)
        raise typer.Exit(known.exit_code if known is not None else 1) from app.failure
