"""How tables are printed on narrow terminals."""

import io

from labelbus_cli.summary import bare_table
from rich.console import Console


def test_a_narrow_terminal_cuts_nothing_off() -> None:
    """Texts fold into further lines; no letter is lost."""
    out = io.StringIO()
    table = bare_table("what", "samples", numbers=("samples",))
    table.add_row("Q" * 30, "1234567890")
    Console(file=out, width=20).print(table)
    assert (out.getvalue().count("Q"), "…" in out.getvalue()) == (30, False)
    assert [one for one in out.getvalue() if one.isdigit()] == list("1234567890")
