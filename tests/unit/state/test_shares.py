from services.state.shares import share

PARTITIONS = range(64)


def test_shares_cover_everything_once() -> None:
    members = ["a", "b", "c"]
    shares = [share(member, members, PARTITIONS) for member in members]
    assert sorted(partition for part in shares for partition in part) == list(PARTITIONS)
    assert all(10 <= len(part) <= 32 for part in shares)


def test_alone_one_owns_all_also_before_it_is_known() -> None:
    assert share("a", [], PARTITIONS) == set(PARTITIONS)


def test_a_newcomer_takes_only_what_it_gains() -> None:
    before = {member: share(member, ["a", "b"], PARTITIONS) for member in ("a", "b")}
    after = {member: share(member, ["a", "b", "c"], PARTITIONS) for member in ("a", "b", "c")}
    assert after["a"] <= before["a"]
    assert after["b"] <= before["b"]
    assert after["c"] == (before["a"] - after["a"]) | (before["b"] - after["b"])
