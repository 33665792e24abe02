"""What a cluster leaves behind holds no secret: Kafka's files, the ledger's tables, logs and caches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, MODEL_KEY

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


def test_no_secret_is_left_behind(cluster: Any) -> None:
    """Keys and tokens travel by name and are kept sealed or hashed; other tests left their records too."""
    ids = cluster.project.add_images(3)
    cluster.need("dispatcher", "detector", "committer")
    cluster.until_ready("dispatcher-1")
    token = cluster.labelbus("tokens", "create", "laptop").splitlines()[-1]
    api = {"LABELBUS_URL": cluster.processes["dispatcher-1"].url, "LABELBUS_TOKEN": token}
    cluster.watch(cluster.submit(ids, "--apply", **api))
    sealing = cluster.environ["LABELBUS_SECRET_KEYS"]
    secrets = [KEY, MODEL_KEY, token, sealing, cluster.environ["LABELBUS_API_TOKEN"]]
    for parts in (files_of(cluster.broker.folder), files_of(cluster.folder), [tables_of(cluster)]):
        found = {text for part in parts for text in ("owl-vit", *secrets) if text.encode() in part}
        assert found == {"owl-vit"}  # which says that it is what was to be looked at


def files_of(folder: Path) -> Iterator[bytes]:
    """Return the bytes of each file; Kafka's indexes hold numbers only, and 10 MiB of them per partition."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("index"))
    return (path.read_bytes() for path in files)


def tables_of(cluster: Any) -> bytes:
    """Return every row of the ledger as text."""
    named = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    tables = [row.table_name for row in cluster.sql(named)]
    rows = (cluster.sql(f'SELECT one::text AS text FROM "{table}" one') for table in tables)
    return "\n".join(row.text for found in rows for row in found).encode()
