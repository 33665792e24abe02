"""A commit never passes unfinished work, whatever the order, the gaps and the owners."""

from hypothesis import given, settings
from hypothesis import strategies as st
from labelbus_runtime.offsets import MAX_METADATA, OrderedOffsets, Partition, decode, encode


@given(st.data())
def test_a_commit_never_passes_what_is_unfinished(data: st.DataObject) -> None:
    """Below the watermark everything is finished, and the metadata names only finished offsets."""
    tracker: OrderedOffsets[str] = OrderedOffsets()
    offset = data.draw(st.integers(0, 1_000))
    partition = tracker.assign("p", committed=offset)
    running: list[int] = []
    finished: set[int] = set()
    for _ in range(data.draw(st.integers(1, 60))):
        finishes = data.draw(st.booleans())
        if running and finishes:
            done = running.pop(data.draw(st.integers(0, len(running) - 1)))
            partition.done(done)
            finished.add(done)
        else:
            offset += data.draw(st.sampled_from([1, 1, 1, 2, 9]))  # gaps, as compaction leaves them
            assert partition.add(offset)
            running.append(offset)
        for watermark, metadata in tracker.committable().values():
            assert all(one >= watermark for one in running)
            assert decode(watermark, metadata) <= finished
    for one in running:
        partition.done(one)
    assert partition.watermark == (offset + 1 if finished or running else offset)
    assert partition.span == 0
    assert not partition.finished_above


@given(st.data())
def test_rebalances_pass_nothing_unfinished(data: st.DataObject) -> None:
    """Two members pass a partition to and fro: no commit passes what neither finished."""
    members: list[OrderedOffsets[str]] = [OrderedOffsets(), OrderedOffsets()]
    running: list[tuple[Partition, int]] = []
    committed, metadata = 0, ""
    finished: set[int] = set()
    for _ in range(data.draw(st.integers(1, 8))):
        mine = members[data.draw(st.integers(0, 1))]
        partition = mine.assign("p", committed=committed, finished=decode(committed, metadata))
        position = committed
        for fetches in data.draw(st.lists(st.integers(0, 1), max_size=20)):
            if fetches:
                if partition.add(position):
                    assert (partition, position) not in running, "started twice"
                    running.append((partition, position))
                position += 1
            elif running:
                owner, offset = running.pop(data.draw(st.integers(0, len(running) - 1)))
                owner.done(offset)
                finished.add(offset)
        if data.draw(st.integers(0, 1)) and (moved := mine.committable()):
            committed, metadata = moved["p"]
        assert set(range(committed)) <= finished
        assert decode(committed, metadata) <= finished
        mine.revoke("p")


def test_a_partition_that_comes_straight_back_is_adopted() -> None:
    """What still runs is neither started again nor forgotten."""
    tracker: OrderedOffsets[str] = OrderedOffsets()
    partition = tracker.assign("p", committed=5)
    assert all(partition.add(offset) for offset in range(5, 10))
    partition.done(5)
    partition.done(7)
    tracker.revoke("p")
    partition.done(8)
    assert tracker.assign("p", committed=6) is partition
    assert [offset for offset in range(6, 12) if partition.add(offset)] == [10, 11]
    for offset in (6, 9, 10, 11):
        partition.done(offset)
    assert tracker.committable() == {"p": (12, "")}


def test_another_members_turn_is_not_overwritten() -> None:
    """A late completion of an older ownership does not touch the new one."""
    tracker: OrderedOffsets[str] = OrderedOffsets()
    old = tracker.assign("p", committed=5)
    assert old.add(5)
    assert old.add(6)
    tracker.revoke("p")
    new = tracker.assign("p", committed=6)
    old.done(5)
    old.done(6)
    assert not old.add(7)
    assert tracker.committable() == {}
    assert new.add(6)


def test_a_new_owner_skips_what_was_finished_above_the_watermark() -> None:
    """After a crash only what really ran is repeated."""
    tracker: OrderedOffsets[str] = OrderedOffsets()
    partition = tracker.assign("p", committed=0)
    for offset in range(10):
        partition.add(offset)
    for offset in (0, 1, 3, 5, 9):
        partition.done(offset)
    watermark, metadata = tracker.committable()["p"]
    heir: OrderedOffsets[str] = OrderedOffsets()
    inherited = heir.assign("p", committed=watermark, finished=decode(watermark, metadata))
    assert [offset for offset in range(watermark, 10) if inherited.add(offset)] == [2, 4, 6, 7, 8]


def test_a_failed_commit_is_offered_again() -> None:
    """Nothing is forgotten when the broker did not take it."""
    tracker: OrderedOffsets[str] = OrderedOffsets()
    partition = tracker.assign("p", committed=0)
    partition.add(0)
    partition.done(0)
    assert tracker.committable() == {"p": (1, "")}
    assert tracker.committable() == {}
    tracker.failed(["p"])
    assert tracker.committable() == {"p": (1, "")}


@settings(max_examples=30)
@given(st.integers(0, 2**40), st.sets(st.integers(0, 300_000), max_size=1_500))
def test_metadata_fits_and_names_only_what_is_finished(watermark: int, above: set[int]) -> None:
    """Kafka's limit holds for any gaps; what does not fit is forgotten, never invented."""
    finished = {watermark + offset for offset in above}
    text = encode(watermark, finished)
    assert len(text) <= MAX_METADATA
    assert decode(watermark, text) <= finished


@given(st.text())
def test_foreign_metadata_means_nothing(text: str) -> None:
    """Another tool's metadata is not read as ours."""
    assert decode(0, text) == set()
    assert decode(0, "d1:" + text) == set() or text
