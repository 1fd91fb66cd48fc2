import pytest

from services.state.shares import share

PARTITIONS = range(64)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 63, 64, 70])
def test_shares_cover_everything_once_and_are_even(count: int) -> None:
    members = [f"member-{n}" for n in range(count)]
    shares = [share(member, members, PARTITIONS) for member in members]
    assert sorted(partition for part in shares for partition in part) == list(PARTITIONS)
    assert {len(part) for part in shares} <= {64 // count, -(-64 // count)}


def test_alone_one_owns_all_also_before_it_is_known() -> None:
    assert share("a", [], PARTITIONS) == set(PARTITIONS)


def test_the_order_in_which_members_are_known_does_not_matter() -> None:
    assert share("a", ["a", "b", "c"], PARTITIONS) == share("a", ["c", "b"], [*reversed(PARTITIONS)])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_when_a_member_joins_or_goes_little_moves_beside_what_it_gains_or_had(count: int) -> None:
    moved = 0
    for trial in range(20):
        few = [f"{trial}-{n}" for n in range(count)]
        more = [*few, f"{trial}-newcomer"]
        moved += sum(len(share(member, few, PARTITIONS) - share(member, more, PARTITIONS)) for member in few)
    gained = 20 * 64 / (count + 1)
    assert moved <= 1.6 * gained
