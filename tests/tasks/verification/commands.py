"""Builds and verifications of the miniature, as a user starts them."""

from pathlib import Path

from tests.reliability.flip import build_contents, named
from tests.support.running import SHARDS, luigi

DATE = ("--date", "2026-11-22")


def verify(data_dir: Path, ilsvrc: Path, *options: object) -> tuple[int, str]:
    return luigi("VerifyBuild", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS, *DATE, *options)


def build(data_dir: Path, ilsvrc: Path) -> tuple[int, str]:
    return luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)


def verifications(data_dir: Path) -> list[str]:
    return sorted(path.name for path in (data_dir / "ilsvrc2012" / "verification").iterdir())


def assert_named(status: int, output: str, expected: set[Path]) -> None:
    """Expect a verification that names these files, and no others."""
    found = named(output)
    assert (status, found - expected, expected - found) == (30, set(), set()), output


def assert_whole_after_a_build(data_dir: Path, built: Path, ilsvrc: Path, *, with_manifests: bool = True) -> None:
    """Expect that a build ends well, that all bytes are those of an undisturbed one, and that it verifies."""
    status, output = build(data_dir, ilsvrc)
    assert status == 0, output
    different = sorted({path for path, _ in build_contents(data_dir).items() ^ build_contents(built).items()})
    if not with_manifests:
        different = [path for path in different if "/manifests/" not in path]
    assert not different, different
    status, output = verify(data_dir, ilsvrc)
    assert (status, verifications(data_dir)) == (0, ["2026-11-22.json"]), output
