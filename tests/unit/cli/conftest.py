"""Files that are played without a server."""

from pathlib import Path

import pytest

from tests.support.offline import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
