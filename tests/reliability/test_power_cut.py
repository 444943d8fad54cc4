from pathlib import Path

import pytest

from tests.reliability.power_cut import PowerCuts
from tests.support.cut_disk import CannotMountError

pytestmark = pytest.mark.slow


def test_a_build_whose_power_is_cut_goes_on_and_ends_right(tmp_path: Path) -> None:
    try:
        outcome = PowerCuts(tmp_path, seed=7).cut(2)
    except CannotMountError as error:
        pytest.skip(f"no disk can be made here: {error}")
    assert outcome.cuts == 2
    assert outcome.errors == []
