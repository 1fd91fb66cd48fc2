"""Who should hold which partition: rendezvous hashing (Thaler and Ravishankar 1998). Pure.

When a replica joins or goes, only the partitions it gains or had move.
"""

from collections.abc import Collection
from hashlib import blake2b


def _weight(member: str, partition: int) -> bytes:
    return blake2b(f"{partition}@{member}".encode(), digest_size=8).digest()


def share(owner: str, members: Collection[str], partitions: Collection[int]) -> set[int]:
    """The partitions that belong to ``owner`` among ``members``; all of them if it is alone or the only one known."""
    candidates = sorted({*members, owner})
    return {p for p in partitions if max(candidates, key=lambda member: _weight(member, p)) == owner}
