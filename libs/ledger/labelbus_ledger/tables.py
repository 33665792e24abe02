"""The ledger's tables. One owner writes each; anyone may read. Times are unix seconds in UTC.

Wire values (`action`, `base`, `draft`, …) are JSON text exactly as pydantic writes them.
"""

from typing import Final, Literal

import sqlalchemy as sa

_CONTROLS: Final = {one: "\ufffd" for one in (*range(32), *range(127, 160)) if chr(one) not in "\t\n\r"}


class Told(sa.TypeDecorator[str]):
    """Text that others said: programs, servers. It is stored without what steers a terminal, and without
    NUL, which PostgreSQL stores nowhere.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return what is stored."""
        return None if value is None else value.translate(_CONTROLS)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

JobState = Literal[
    "selecting",
    "running",
    "paused",
    "cancelling",
    "finishing",
    "finished",
    "finished_with_failures",
    "cancelled",
    "rejected",
]
DesiredState = Literal["run", "pause", "cancel"]
SampleState = Literal["pending", "labeling", "writing", "proposed", "committed", "held", "failed"]
OPEN_STATES: Final = ("pending", "labeling", "writing")
ENDED_STATES: Final = ("proposed", "committed", "held", "failed")
OPEN_JOB_STATES: Final = ("selecting", "running", "paused", "cancelling", "finishing")
ENDED_JOB_STATES: Final = ("finished", "finished_with_failures", "cancelled", "rejected")

# --- owner: dispatcher ---------------------------------------------------------------------------

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("project_id", sa.BigInteger, nullable=False),
    sa.Column("carrier", sa.String(128), nullable=False),
    sa.Column("submit", sa.Text, nullable=False),  # the SubmitJob command, whole
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("action_name", sa.String(200), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("weight", sa.Integer, nullable=False, default=1),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("desired_state", sa.String(16), nullable=False, default="run"),
    sa.Column("reason", Told, nullable=False, default=""),
    sa.Column("run", sa.Integer, nullable=False, default=1),
    sa.Column("selected", sa.Boolean, nullable=False, default=False),  # no further sample joins
    sa.Column("cursor", sa.Text),  # how far the selection has paged
    sa.Column("total", sa.BigInteger, nullable=False, default=0),
    sa.Column("failures", sa.BigInteger, nullable=False, default=0),  # since it was last resumed
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("finish_sent_at", sa.Double),
    sa.Index(None, "carrier", "state"),
    sa.Index(None, "created_at"),
    sa.Index(None, "changed_at"),
    sa.Index(None, "fingerprint"),
)

samples = sa.Table(
    "samples",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("sample_id", sa.BigInteger, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("step", sa.Integer, nullable=False, default=0),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),  # never used twice within a run
    sa.Column("tries", sa.Integer, nullable=False, default=0),  # attempts of this step that failed
    sa.Column("labeler", sa.String(64)),  # who has it in flight: a labeler's name, or "committer"
    sa.Column("due_at", sa.Double, nullable=False, default=0.0),
    sa.Column("deadline_at", sa.Double),  # in flight: sent again, as a new attempt, after this
    sa.Column("first_sent_at", sa.Double),
    sa.Column("base", sa.Text),  # emptied when the row ends
    sa.Column("draft", sa.Text),
    sa.Column("gathered", sa.Text),  # drafts of the branches so far
    sa.Column("code", sa.String(64)),
    sa.Column("reason", Told),
    sa.Column("ended_at", sa.Double),
    sa.Column("split_fps", sa.Integer),  # a video: its write is a split into so many frames per second
    sa.Index(None, "job_id", "state", "step", "position"),
    sa.Index(
        "ix_samples_in_flight",
        "labeler",
        "job_id",
        sqlite_where=sa.text("state IN ('labeling', 'writing')"),
        postgresql_where=sa.text("state IN ('labeling', 'writing')"),
    ),
)

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),  # from 1; never used twice
    sa.Column("spec", sa.Text),  # the ActionSpec; empty once it was removed
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.Double, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),  # "refill:<carrier>" or "process:<carrier>"
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the token
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

keepers = sa.Table(
    "keepers",
    metadata,
    sa.Column("mark", sa.String(64), primary_key=True),  # alike for equal runs of a block
    sa.Column("keeper", sa.String(64), nullable=False),  # the one that keeps the job now, or did last
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("lapsed", sa.Boolean, nullable=False),  # it was silent for too long, or has left
    sa.Index(None, "job_id"),
)

# --- owner: committer ----------------------------------------------------------------------------

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("sample_id", sa.BigInteger, primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("found", sa.Text, nullable=False),  # LabelSet before the write
    sa.Column("target", sa.Text, nullable=False),  # LabelSet that the write sets
    sa.Index(None, "job_id"),
)

splits = sa.Table(  # of videos into frames; a row stays, so that none is split twice
    "splits",
    metadata,
    sa.Column("project_id", sa.BigInteger, primary_key=True),
    sa.Column("sample_id", sa.BigInteger, primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("token", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("after_id", sa.BigInteger, nullable=False),  # the highest sample id before: frames have higher
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("studio_job_id", sa.BigInteger),  # Studio's own, where it splits in one
    sa.Column("frames", sa.Text),  # their ids, once the video is split
    sa.Column("stem", sa.Text),  # what their names begin with; none where no other video need wait
)

proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("sample_id", sa.BigInteger, primary_key=True),
    sa.Column("project_id", sa.BigInteger, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("base", sa.Text, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),
    sa.Column("proposed_at", sa.Double, nullable=False),
    sa.Column("studio_job_id", sa.BigInteger),
)

commits = sa.Table(
    "commits",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("sample_id", sa.BigInteger, primary_key=True),
    sa.Column("project_id", sa.BigInteger, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("base", sa.Text, nullable=False),  # what the draft was computed from
    sa.Column("found", sa.Text, nullable=False),  # what an undo restores
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("changed", sa.String(200), nullable=False, default=""),  # parts written, comma-separated
    sa.Column("committed_at", sa.Double, nullable=False),
    sa.Column("metadata_set", sa.Boolean, nullable=False, default=False),  # the action's, by FinishJob
    sa.Index(None, "project_id", "sample_id", "committed_at"),
)

label_events = sa.Table(
    "label_events",
    metadata,
    sa.Column("message_id", sa.String(200), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("sample_id", sa.BigInteger, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("labeler", sa.String(64), nullable=False),
    sa.Column("model", sa.String(200)),
    sa.Column("code", sa.String(64)),
    sa.Column("reason", Told),
    sa.Column("notes", sa.Text),
    sa.Column("seconds", sa.Double, nullable=False, default=0.0),
    sa.Column("input_tokens", sa.BigInteger, nullable=False, default=0),
    sa.Column("output_tokens", sa.BigInteger, nullable=False, default=0),
    sa.Column("cost_usd", sa.Double, nullable=False, default=0.0),
    sa.Column("recorded_at", sa.Double, nullable=False),
    sa.Index(None, "job_id", "sample_id"),
)

# --- owner: labelers' runtime (a job's cap is the dispatcher's) ------------------------------------

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),  # as asked for
    sa.Column("digest", sa.String(64), primary_key=True),  # of image bytes, prompt and parameters
    sa.Column("text", Told, nullable=False),
    sa.Column("answered_by", sa.String(200), nullable=False),  # the model that the answer names
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
    sa.Column("answered_at", sa.Double, nullable=False),
)

budgets = sa.Table(  # in whole nano-dollars, so that sums are exact
    "budgets",
    metadata,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("cap", sa.BigInteger),  # NULL: none
    sa.Column("held", sa.BigInteger, nullable=False),  # worst case of calls not settled; a crash leaves it
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
)

rates = sa.Table(  # GCRA: the times at which all that was reserved has been refilled
    "rates",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),  # fingerprint of the provider's key
    sa.Column("requests_free_at", sa.Double, nullable=False),
    sa.Column("tokens_free_at", sa.Double, nullable=False),
    sa.Column("frozen_until", sa.Double, nullable=False),
    sa.Column("requests_per_min", sa.Double),  # learned from answers; settings come first
    sa.Column("tokens_per_min", sa.Double),
)

# --- owner: runtime ------------------------------------------------------------------------------

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("carrier", sa.String(128), primary_key=True),
    sa.Column("service", sa.String(64), primary_key=True),  # a labeler's name, or a service's
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("topic", sa.String(200), nullable=False),
    sa.Column("reason", Told, nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("died_at", sa.Double, nullable=False),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),  # "version", "oldest_compatible"
    sa.Column("value", sa.String(200), nullable=False),
)
