"""Add what splitting videos needs: who splits which, and the rows that wait for it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("samples", sa.Column("split_fps", sa.Integer(), nullable=True))
    op.create_table(
        "splits",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("studio_job_id", sa.BigInteger(), nullable=True),
        sa.Column("frames", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project_id", "sample_id", name=op.f("pk_splits")),
    )
    op.execute("UPDATE ledger SET value = '2' WHERE key = 'version'")
