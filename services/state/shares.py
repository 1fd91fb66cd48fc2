"""Who should hold which partition: rendezvous hashing (Thaler and Ravishankar 1998), with a bound on what one may hold. Pure.

By the hash alone one of a few members would have up to twice its part, or nothing. Bounded, each has its part exactly, to
within one, and when a member joins or goes little moves beside what it gains or had.
"""

from collections.abc import Collection
from hashlib import blake2b


def _weight(member: str, partition: int) -> bytes:
    return blake2b(f"{partition}@{member}".encode(), digest_size=8).digest()


def share(owner: str, members: Collection[str], partitions: Collection[int]) -> set[int]:
    """The partitions that belong to ``owner`` among ``members``; all of them if it is alone or the only one known."""
    candidates = {*members, owner}
    least, extra = divmod(len(partitions), len(candidates))
    held = dict.fromkeys(candidates, 0)
    homes: dict[int, str] = {}
    wishes = sorted(((_weight(member, p), p, member) for p in partitions for member in candidates), reverse=True)
    for _, partition, member in wishes:
        if partition in homes or held[member] >= least + (extra > 0):
            continue
        extra -= held[member] == least
        held[member] += 1
        homes[partition] = member
    return {partition for partition, member in homes.items() if member == owner}
