"""`labelbus block`: be an Edge Impulse AI labeling block."""

import sys
from typing import Annotated

import typer

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""Everything behind the labeler's name is the block's own command line."""


def block(
    ctx: typer.Context,
    labeler: Annotated[str, typer.Argument(metavar="LABELER", help="For example owl-vit.")],
) -> None:
    """Run a labeler as an Edge Impulse AI labeling block.

    It takes the arguments that Studio passes.

    `labelbus block LABELER --help` tells its options, `--parameters-json` prints the form that Studio shows.
    """
    if ctx.args[:1] in (["--help"], ["-h"]):  # further on it may be a value
        from labelbus_cli.block_help import block_help
        from labelbus_cli.labelers import block as find

        typer.echo(block_help(find(labeler)), nl=False)
        return
    from labelbus_cli.block_run import run_block

    raise typer.Exit(run_block(labeler, list(ctx.args), sys.stdout))
