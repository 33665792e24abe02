"""Add the keepers of jobs. Older versions go on beside it: they pause no job whose keeper has gone."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keepers",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("keeper", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("lapsed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_keepers")),
    )
    op.create_index(op.f("ix_keepers_job_id"), "keepers", ["job_id"], unique=False)
    op.execute("UPDATE ledger SET value = '3' WHERE key = 'version'")
