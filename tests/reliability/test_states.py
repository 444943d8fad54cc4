from pathlib import Path

import pytest

from tests.reliability.states import play_all

pytestmark = pytest.mark.slow


def test_damaged_builds_are_right_after_one_repair(tmp_path: Path) -> None:
    stories: list[str] = []
    counts = play_all(tmp_path, range(12), 7, stories.append)
    assert sum(counts.values()) == 12
    assert not stories, "\n\n".join(stories)
