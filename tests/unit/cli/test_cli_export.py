"""What `jobs export` refuses; the journey of branches reads what it writes."""

import io

import pytest
from labelbus_cli.errors import BadInput
from labelbus_cli.exporting import export


async def test_a_cluster_that_is_reached_by_its_api_only_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which variable names the ledger; nothing is written."""
    monkeypatch.setenv("LABELBUS_URL", "http://127.0.0.1:9")
    out = io.StringIO()
    with pytest.raises(BadInput, match="LABELBUS_DATABASE_URL"):
        await export("last", out)
    assert out.getvalue() == ""
