"""Two builds of one place, each through a mount of its own whose locks are its own, as two hosts have them on NFS."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.reliability.kill import Build, differences, leftovers, tables_and_checksums, wait_until
from tests.support.hosts import mounted_through_fuse
from tests.support.running import SHARDS, contents, http_server

pytestmark = pytest.mark.slow

_LONGEST_BUILD = 180


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two mounts of one folder."""
    folder = tmp_path / "shared"
    folder.mkdir()
    with ExitStack() as stack:
        first, second = (stack.enter_context(mounted_through_fuse(folder, tmp_path / name)) for name in ("a", "b"))
        yield first, second


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "http"])
def test_two_builds_at_once_give_an_undisturbed_build(
    ilsvrc: Path, built: Path, tmp_path: Path, hosts: tuple[Path, Path], over_http: bool, seed: int
) -> None:
    rng = random.Random(f"{over_http} {seed}")

    def start(host: Path, name: str) -> Build:
        source: object = url if over_http else ilsvrc
        arguments = ["BuildAll", "--data-dir", host / "data", "--source", source, *SHARDS]
        given = tables_and_checksums(ilsvrc) if over_http else []
        return Build([*arguments, *given, "--workers", rng.choice(["1", "2"])], tmp_path / f"{name}.log")

    with http_server(ilsvrc) as url:
        builds = [start(hosts[0], "first")]
        time.sleep(rng.choice([0, 0.1, rng.uniform(0, 2)]))
        builds.append(start(hosts[1], "second"))
        for build in builds:
            status = build.worker.wait(_LONGEST_BUILD)
            assert status == 0 or is_clear(build.said()), build.said()
        again = start(hosts[0], "again")
        assert again.worker.wait(_LONGEST_BUILD) == 0, again.said()
    data_dir = tmp_path / "shared" / "data"
    assert differences(data_dir, contents(built)) == [], "\n".join(build.said() for build in builds)
    assert leftovers(data_dir) == []


def is_clear(output: str) -> bool:
    return "ERROR" in output and "Traceback" not in output


def test_a_build_goes_on_beside_another_host_that_is_killed(
    ilsvrc: Path, built: Path, tmp_path: Path, hosts: tuple[Path, Path]
) -> None:
    builds = [
        Build(["BuildAll", "--data-dir", host / "data", "--source", ilsvrc, *SHARDS], tmp_path / f"{host.name}.log")
        for host in hosts
    ]
    wait_until(lambda: builds[0].said().count("running") > 8, 120)
    builds[0].end()
    assert builds[1].worker.wait(_LONGEST_BUILD) == 0, builds[1].said()
    assert differences(tmp_path / "shared" / "data", contents(built)) == []
