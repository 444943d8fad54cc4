"""Flips a byte in each of many random files of a build, and shows that VerifyBuild names exactly these.

    python -m tests.reliability.flip [--files 20] [--seed N]

A miniature is built in a temporary folder, damaged, verified, repaired and built again. The exit status is 0 where the
flipped files are named, no others, and the build equals the original again.
"""

import argparse
import random
import re
import sys
import tempfile
from pathlib import Path

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.paths import DataSetPaths
from tests.support.running import SHARDS, contents, luigi

_FINDING = re.compile(r"^ *(?:damaged|missing|extra|leftover|unreadable) (\S+): ", re.MULTILINE)


def output_files(data_dir: Path) -> list[Path]:
    """Return every file of a build that is verified: not those of verifications, timings and the report."""
    paths = DataSetPaths(data_dir)
    others = {paths.verifications, paths.timings, paths.dataset / "report.html"}
    return sorted(path for path in data_dir.rglob("*") if path.is_file() and not others & {path, *path.parents})


def flip_a_byte(path: Path, rng: random.Random) -> None:
    """Flip one bit of a file, or several of one byte; the file is a new one, as others may be links to the old."""
    damaged = bytearray(path.read_bytes())
    damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
    path.unlink()
    path.write_bytes(damaged)


def named(output: str) -> set[Path]:
    """Return the files that VerifyBuild's error names."""
    return {Path(path) for path in _FINDING.findall(output)}


def build_contents(data_dir: Path) -> dict[str, str]:
    """Return what `contents` does, without the verifications."""
    return {path: md5 for path, md5 in contents(data_dir).items() if not path.startswith("ilsvrc2012/verification")}


def covered_by(named_paths: set[Path], flipped: set[Path], data_dir: Path) -> set[Path]:
    """Return the flipped files that are named: themselves, or the folder of their output if all of that is suspect.

    An output is named as a whole if its archive and its manifest are damaged too, so that nothing tells which of its
    files are right.
    """
    paths = DataSetPaths(data_dir)

    def is_named(path: Path) -> bool:
        if path in named_paths or any(folder in named_paths for folder in path.parents):
            return True
        if not path.is_relative_to(paths.manifests):
            return False
        output = path.relative_to(paths.manifests).with_suffix("")
        return paths.dataset / output in named_paths or data_dir / output in named_paths

    return {path for path in flipped if is_named(path)}


def _run(command: str, *arguments: object, expected: int) -> str:
    status, output = luigi(command, *arguments, *SHARDS, "--workers", "2")
    if status != expected:
        sys.exit(f"{output}\n{command} ended with {status}, not {expected}")
    return output


def _check(directory: Path, files: int, seed: int) -> bool:
    source, data_dir = directory / "miniature", directory / "data"
    miniature.write(source, synsets=5, train_images=90, validation_images=25, xml_files=40, tiny=True)
    options = ("--data-dir", data_dir, "--source", source)
    _run("BuildAll", *options, expected=0)
    original = build_contents(data_dir)
    rng = random.Random(seed)
    flipped = set(rng.sample(output_files(data_dir), files))
    for path in sorted(flipped):
        flip_a_byte(path, rng)
    found = named(_run("VerifyBuild", *options, expected=30))
    _run("VerifyBuild", *options, "--repair", "true", expected=30)
    _run("BuildAll", *options, expected=0)
    rebuilt = build_contents(data_dir)
    differences = {path for path in {*original, *rebuilt} if original.get(path) != rebuilt.get(path)}
    covered = covered_by(found, flipped, data_dir)
    others = {path for path in found - flipped if not any(path in flip.parents for flip in flipped)}
    print(f"{len(covered)} of {files} named, {len(others)} others, {len(differences)} differences after repair")
    for title, paths in (("not named", flipped - covered), ("named", others), ("different", differences)):
        for line in sorted(map(str, paths)):
            print(f"{title}: {line}")
    return covered == flipped and not others and not differences


def main() -> None:
    """Run the check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 32), help="which (default: other ones each time)"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(0 if _check(Path(directory), arguments.files, arguments.seed) else 1)


if __name__ == "__main__":
    main()
