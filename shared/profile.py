"""What ``identify`` means for a profile."""

from shared.messages import Properties


def merge(profile: Properties, properties: Properties) -> Properties:
    """The profile with ``properties`` merged in at the top level; a null removes the attribute. Neither is changed."""
    merged = {**profile, **properties}
    return {name: value for name, value in merged.items() if value is not None}
