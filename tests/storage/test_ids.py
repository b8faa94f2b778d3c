"""Ids in bulk: UUIDv7 like the single ones."""

import uuid

from storage.ids import new_id, new_ids, read_id


def test_ids_in_bulk_are_version_7_in_order_and_all_different() -> None:
    ids = [key for _ in range(20) for key in new_ids(500)]
    assert len({*ids}) == len(ids)
    for batch in range(0, len(ids), 500):
        assert ids[batch : batch + 500] == sorted(ids[batch : batch + 500])
    for key in ids[::97]:
        read = uuid.UUID(key)
        assert (read.version, read.variant, str(read)) == (7, uuid.RFC_4122, key)


def test_an_id_is_equal_to_the_standard_librarys() -> None:
    made = new_id()
    standard = uuid.UUID(str(made))
    assert made == standard == read_id(str(standard))
    assert hash(made) == hash(standard)
    assert {standard: 1}[made] == 1
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made < new_id()
