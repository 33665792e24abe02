"""What the ledger answers about a job, and the page made of it."""

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from labelbus_cli.pictures import colour, readable_on
from labelbus_cli.report import FetchImage, render
from labelbus_cli.votes import Opinion, branches_of, vote_tables
from labelbus_contracts.ids import JobId, ProjectId, SecretName
from labelbus_contracts.jobs import ActionSpec, Branch, Condition, StepSpec
from labelbus_contracts.labels import Base, BoundingBox, ClassLabel, LabelSet, SampleFacts, TimeRange, Vote
from labelbus_contracts.v1.commands import SubmitJob
from labelbus_contracts.v1.message import message_id
from labelbus_ledger import reports, tables
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.facts import gather
from labelbus_ledger.tallies import difference
from PIL import Image
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

JOB = JobId("job-1")
NASTY = "<script>alert(1)</script>"
MERGED = StepSpec(
    labeler="merge",
    when=Condition(labels=("cat",), max_score=0.5),
    branches=(Branch(labeler="sure"), Branch(labeler="quiet")),
)


def box(label: str, x: int = 0, *, score: float | None = None) -> BoundingBox:
    return BoundingBox(label=label, x=x, y=5, width=10, height=10, score=score)


def base(labels: LabelSet, **facts: object) -> Base:
    known = {"filename": NASTY, "kind": "image", "width": 64, "height": 48} | facts
    return Base.model_validate(
        {"sample": SampleFacts.model_validate(known), "labels": labels, "read_at": "2026-01-02T03:04:05Z"}
    )


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (30, 60, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
async def conn(tmp_path: Path) -> AsyncIterator[AsyncConnection]:
    """Give an open transaction on an empty ledger with one job in it."""
    settings = LedgerSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/ledger.db"))
    ledger = await Ledger.open(settings)
    submit = SubmitJob(
        id=message_id("submit_job", JOB),
        job_id=JOB,
        project_id=ProjectId(7),
        secret=SecretName("env:EI_PROJECT_API_KEY"),
        action=ActionSpec(
            name=NASTY, steps=(StepSpec(labeler="finder", parameters={"prompt": NASTY}), MERGED)
        ),
    )
    async with ledger.write() as connection:
        await connection.execute(
            sa.insert(tables.jobs).values(
                job_id=JOB, project_id=7, carrier="c", submit=submit.model_dump_json(), fingerprint="f",
                action_name=NASTY, mode="preview", state="finished_with_failures", created_at=1.0,
                started_at=2.0, ended_at=65.0, changed_at=65.0, selected=True,
            )
        )  # fmt: skip
        yield connection
    await ledger.close()


async def add(
    conn: AsyncConnection, sample_id: int, state: str, *, before: LabelSet, after: LabelSet, **facts: object
) -> None:
    """Add an ended sample with its proposal."""
    row = {"job_id": JOB, "sample_id": sample_id, "position": sample_id, "state": state}
    await conn.execute(sa.insert(tables.samples).values(row))
    proposal = {"job_id": JOB, "sample_id": sample_id, "project_id": 7, "run": 1, "proposed_at": 3.0}
    texts = {"base": base(before, **facts).model_dump_json(), "draft": after.model_dump_json()}
    await conn.execute(sa.insert(tables.proposals).values(proposal | texts))


async def fail(conn: AsyncConnection, sample_id: int, reason: str, state: str = "failed") -> None:
    """Add a sample that ended without a proposal."""
    row = {"job_id": JOB, "sample_id": sample_id, "position": sample_id, "state": state}
    await conn.execute(sa.insert(tables.samples).values(row | {"code": "gone", "reason": reason}))


def test_differences_count_each_label_once() -> None:
    """Another name at the same place is relabelled, not removed and added."""
    before = LabelSet(boxes=(box("cat"), box("dog", 20), box("cow", 40)), label=ClassLabel(label="a"))
    after = LabelSet(boxes=(box("cat"), box("fox", 20), box("owl", 60)), label=ClassLabel(label="b"))
    found = difference(before, after)
    assert (found.kept, found.relabelled, found.added, found.removed) == (1, 2, 1, 1)


async def test_labels_are_counted_before_and_after(conn: AsyncConnection) -> None:
    """Each label has its counts and the mean of its scores."""
    await add(conn, 1, "proposed", before=LabelSet(boxes=(box("cat"),)), after=LabelSet())
    after = LabelSet(boxes=(box("cat", score=0.5), box("cat", 9, score=0.7), box("dog", 20)))
    await add(conn, 2, "proposed", before=LabelSet(), after=after)
    cat, dog = (await reports.label_tally(conn, JOB)).rows()
    assert (cat.label, cat.before, cat.after, cat.added, cat.removed, cat.samples) == ("cat", 1, 2, 2, 1, 1)
    assert cat.mean_score == pytest.approx(0.6)
    assert (dog.label, dog.mean_score) == ("dog", None)


async def test_failures_are_grouped_by_reason(conn: AsyncConnection) -> None:
    """The sample's own id in the text does not split a group; examples are few."""
    for sample_id in range(100, 110):
        await fail(conn, sample_id, f"Sample {sample_id} is gone.")
    await fail(conn, 5, "Edited meanwhile.", "held")
    gone, held = await reports.failures(conn, JOB, examples=3)
    assert (gone.reason, gone.count, gone.examples) == ("Sample … is gone.", 10, (100, 101, 102))
    assert (held.state, held.count) == ("held", 1)


async def test_samples_to_be_tried_again_tell_why(conn: AsyncConnection) -> None:
    """They are no failures yet; pending ones that met nothing are not told of."""
    await fail(conn, 1, "The limits have no room.", "pending")
    await fail(conn, 2, "", "pending")
    (waiting,) = await reports.waits(conn, JOB)
    assert (waiting.state, waiting.reason, waiting.examples) == ("pending", "The limits have no room.", (1,))
    assert await reports.failures(conn, JOB) == ()


async def test_rare_reasons_are_one_group(conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of a job stays small, though a million samples failed each for a reason of its own."""
    monkeypatch.setattr(reports, "_MOST_GROUPS", 2)
    for sample_id in range(100, 110):
        await fail(conn, sample_id, f"Odd in its own way: {sample_id % 5}")
    for sample_id in range(3):
        await fail(conn, sample_id, "Gone.", "held")
    *shown, rest = await reports.failures(conn, JOB, examples=3)
    assert [(one.reason, one.count) for one in shown] == [("Gone.", 3), ("Odd in its own way: 0", 2)]
    assert (rest.count, rest.examples) == (8, ())


async def test_other_numbers_in_a_reason_stay(conn: AsyncConnection) -> None:
    """HTTP 503 of sample 5 is that of sample 6."""
    for sample_id in (5, 6, 50):
        await fail(conn, sample_id, f"HTTP 503, 5 attempts: sample {sample_id} of project 5.")
    (group,) = await reports.failures(conn, JOB)
    assert group.reason == "HTTP 503, 5 attempts: sample … of project 5."


async def test_the_page_escapes_everything(conn: AsyncConnection) -> None:
    """Names, labels, reasons and metadata from outside never become markup."""
    labels = LabelSet(boxes=(box(NASTY, score=0.5),), metadata={NASTY: NASTY}, label=ClassLabel(label=NASTY))
    await add(conn, 1, "proposed", before=LabelSet(), after=labels)
    await fail(conn, 2, NASTY)
    page = await _page(conn)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "data:image/jpeg;base64," in page


async def test_the_page_shows_what_changed_most(conn: AsyncConnection) -> None:
    """With fewer pictures than samples those of the largest difference are fetched, the largest first."""
    for sample_id in range(1, 6):
        boxes = tuple(box("cat", at * 9) for at in range(sample_id))
        await add(conn, sample_id, "proposed", before=LabelSet(), after=LabelSet(boxes=boxes))
    job = await reports.find_job(conn, JOB)
    assert job is not None
    facts = await gather(conn, job, pictures=2)
    assert [change.sample_id for change in facts.shown] == [5, 4]
    assert facts.difference.added == 15


async def test_a_picture_that_cannot_be_had_leaves_the_page(conn: AsyncConnection) -> None:
    """Without picture the boxes and the reason are shown."""
    await add(conn, 1, "proposed", before=LabelSet(), after=LabelSet(boxes=(box("cat"),)))

    async def refused(sample_id: int) -> bytes:
        raise OSError("the network is away")

    page = await _page(conn, refused)
    assert "the network is away" in page
    assert "<rect" in page
    assert "cannot be decoded" in await _page(conn, _bytes_of(b"no image"))


async def test_ranges_are_shown_as_a_track(conn: AsyncConnection) -> None:
    """Audio has a bar with its ranges in percent of the length, and no picture is fetched."""
    ranges = (
        TimeRange(start_index=0, end_index=49, label="hum"),
        TimeRange(start_index=50, end_index=99, label="x"),
    )
    facts = {"kind": "audio", "width": None, "height": None, "values_count": 100}
    await add(conn, 1, "proposed", before=LabelSet(), after=LabelSet(ranges=ranges), **facts)
    page = await _page(conn)
    assert "left:50.000%;width:50.000%" in page
    assert "data:image" not in page


async def test_votes_are_shown_branch_by_branch(conn: AsyncConnection) -> None:
    """A merged box says which branches found it and how sure they were; who was silent is seen too."""
    vote = Vote(source="sure#1", label="cat", score=0.82)
    found = box("cat", score=0.41).model_copy(update={"source": "merge#1", "votes": (vote,)})
    await add(conn, 1, "proposed", before=LabelSet(), after=LabelSet(boxes=(found, box("dog", 20))))
    page = await _page(conn)
    (table,) = re.findall(r'<table class="votes">(.*?)</table>', page, re.DOTALL)
    cells = re.findall(r"<t[hd][^>]*>(?:<i[^>]*></i>)?([^<]*)<", table)
    assert cells[3:5] == ["sure#1", "quiet#2"]
    assert cells[5:] == ["cat", "0, 5, 10 * 10", "0.41", "0.82", "–"]
    assert "only where a label has the text cat and a score of at most 0.5" in page


async def test_votes_for_another_label_are_shown_with_it(conn: AsyncConnection) -> None:
    """A branch that was outvoted on the class label is named with what it said."""
    votes = (Vote(source="sure#1", label="a"), Vote(source="quiet#2", label="b", score=0.3))
    label = ClassLabel(label="a", source="merge#1", votes=votes)
    await add(conn, 1, "proposed", before=LabelSet(), after=LabelSet(label=label))
    job = await reports.find_job(conn, JOB)
    assert job is not None
    (table,) = vote_tables(LabelSet(label=label), branches_of(job.submit.action))
    assert table.rows == (Opinion("a", "the sample", None, ("yes", "b 0.30")),)


async def test_reasons_and_notes_are_shown(conn: AsyncConnection) -> None:
    """A new reason in the metadata, and what labelers noted at their last attempt, stand on the card."""
    old, new = LabelSet(metadata={"reason": "old"}), LabelSet(metadata={"reason": "It is blurred."})
    await add(conn, 1, "proposed", before=old, after=new)
    await add(conn, 2, "proposed", before=old, after=old)
    for attempt, note in ((1, "Too early."), (2, f"Cut off {NASTY}.")):
        row = {"message_id": f"m{attempt}", "job_id": JOB, "run": 1, "sample_id": 1, "step": 0}
        more = {"attempt": attempt, "kind": "sample_labeled", "labeler": "finder", "recorded_at": 1.0}
        await conn.execute(sa.insert(tables.label_events).values(row | more | {"notes": json.dumps([note])}))
    page = await _page(conn)
    assert page.count("Reason:") == 1
    assert "It is blurred." in page
    assert "Cut off &lt;script&gt;" in page
    assert "Too early" not in page


def test_letters_stand_out_from_their_ground() -> None:
    """Bright labels get dark letters, dark ones bright letters; the contrast is above 4 to 1."""
    for number in range(200):
        ground = _luminance(colour(f"label {number}"))
        letters = 1.0 if readable_on(f"label {number}") == "#fff" else _luminance((0x11, 0x11, 0x11))
        assert (max(ground, letters) + 0.05) / (min(ground, letters) + 0.05) > 4


def _luminance(rgb: tuple[int, int, int]) -> float:
    parts = [one / 255 for one in rgb]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def _bytes_of(data: bytes) -> FetchImage:
    async def fetch(sample_id: int) -> bytes:
        return data

    return fetch


async def _page(conn: AsyncConnection, fetch: FetchImage | None = None) -> str:
    job = await reports.find_job(conn, JOB)
    assert job is not None
    return await render(await gather(conn, job, pictures=60), fetch or _bytes_of(jpeg()))
