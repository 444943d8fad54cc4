"""Cuts the power of a disk at random moments of a build, and shows that the next run ends right.

``python -m tests.reliability.power_cut [--cuts 20] [--seed N]``: an ext4 on a loop device; what was not written to the
disk by then is lost. The build goes on there, from a folder or over HTTP, and is verified and at most once repaired.
Exits with 1 if it is not whole then, or if a file differs from an undisturbed build's; needs root.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from luigi_ilsvrc import miniature
from tests.reliability.kill import Build, differences, leftovers, tables_and_checksums, wait_until
from tests.support.cut_disk import CannotMountError, cut_power, make_disk, mounted_disk
from tests.support.in_process import Run, run
from tests.support.running import contents, http_server

_SHARDS = ("--train-shards", "8", "--validation-shards", "3")
_LONGEST_BUILD = 120


@dataclass
class Outcome:
    """What the cuts have come to.

    Attributes
    ----------
    whole : int
        After how many cuts the next run alone made the build whole.
    repaired : int
        After how many it took a repair.
    files : int
        How many files were on the disks after the cuts, of all cuts together.
    errors : list of str
        What is wrong.
    """

    cuts: int = 0
    whole: int = 0
    repaired: int = 0
    files: int = 0
    errors: list[str] = field(default_factory=list)


class PowerCuts:
    """Cuts builds from power.

    Parameters
    ----------
    directory : Path
        Empty; everything is written there.
    seed : int
        Of the moments and sources.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._rng = random.Random(seed)
        self._source = directory / "source"
        self.outcome = Outcome()

    def cut(self, cuts: int, tell: Callable[[str], object] = print) -> Outcome:
        """Cut that many builds; return what came of it. Raises CannotMountError."""
        empty = self._directory / "empty.img"
        make_disk(empty)
        miniature.write(self._source, synsets=5, train_images=200, validation_images=25, xml_files=80, tiny=True)
        undisturbed, took = self._build_undisturbed(empty)
        tell(f"an undisturbed build takes {took:.1f} s")
        while self.outcome.cuts < cuts:
            with self._arguments() as arguments:
                self._cut_one(empty, arguments, undisturbed, took, tell)
        return self.outcome

    def _build_undisturbed(self, empty: Path) -> tuple[dict[str, str], float]:
        image = self._directory / "undisturbed.img"
        image.write_bytes(empty.read_bytes())
        with mounted_disk(image, self._directory / "disk") as disk:
            started = time.monotonic()
            build = self._start(disk, ["--source", self._source])
            status = build.worker.wait(_LONGEST_BUILD)
            if status:
                raise RuntimeError(build.said())
            return contents(disk / "data"), time.monotonic() - started

    def _start(self, disk: Path, arguments: list[object]) -> Build:
        common = ["--data-dir", disk / "data", *_SHARDS, "--workers", "2"]
        return Build(["BuildAll", *common, *arguments], self._directory / "log")

    @contextmanager
    def _arguments(self) -> Iterator[list[object]]:
        if self._rng.random() < 0.5:
            yield ["--source", self._source]
            return
        with http_server(self._source) as url:
            yield ["--source", url, *tables_and_checksums(self._source)]

    def _cut_one(
        self,
        empty: Path,
        arguments: list[object],
        undisturbed: dict[str, str],
        took: float,
        tell: Callable[[str], object],
    ) -> None:
        # Files of their own: a former disk may still be mounted where another process has a copy of all mounts.
        image, after = (self._directory / f"{name}-{self.outcome.cuts}.img" for name in ("disk", "after"))
        shutil.copyfile(empty, image)
        with mounted_disk(image, self._directory / "disk") as disk:
            build = self._start(disk, arguments)
            try:
                # Python itself takes a part of the time to start.
                wait_until(lambda: (disk / "data").exists(), 120)
                moment = took * self._rng.random()
                if wait_until(lambda: build.worker.poll() is not None, moment):
                    return
                cut_power(image, after, build.processes(), signal.SIGSTOP)
            finally:
                build.end()
        self.outcome.cuts += 1
        with mounted_disk(after, self._directory / "disk") as disk:
            files = sum(path.is_file() for path in disk.rglob("*"))
            self.outcome.files += files
            how = self._go_on(disk, arguments)
            tell(f"cut {self.outcome.cuts} after {moment:.2f} s: {files} files on the disk; {how}")
            self._compare(disk / "data", undisturbed)
        for path in (image, after):
            path.unlink()

    def _go_on(self, disk: Path, arguments: list[object]) -> str:
        """Build and verify, with at most one repair; return how it went."""

        def command(name: str, *options: object) -> Run:
            return run(name, "--data-dir", disk / "data", *_SHARDS, *arguments, *options)

        built = command("BuildAll")
        verified = command("VerifyBuild")
        if built.is_well and verified.is_well:
            self.outcome.whole += 1
            return "whole"
        if not (built.is_clear and verified.is_clear):
            self.outcome.errors.append(f"cut {self.outcome.cuts}: {built.output[-4000:]} {verified.output[-4000:]}")
        command("VerifyBuild", "--repair", "true")
        said = (command("BuildAll"), command("VerifyBuild"))
        if not all(it.is_well for it in said):
            output = "\n".join(it.output[-4000:] for it in (built, verified, *said))
            self.outcome.errors.append(f"cut {self.outcome.cuts}: not whole after a repair: {output}")
            return "never whole"
        self.outcome.repaired += 1
        lines = [line for line in (built.output + verified.output).splitlines() if line.startswith(("ERROR", "  "))]
        return "\n  ".join(["repaired:", *(line[:300] for line in lines[:6] if "=====" not in line)])

    def _compare(self, data_dir: Path, undisturbed: dict[str, str]) -> None:
        found = [path for path in differences(data_dir, undisturbed) if not path.startswith("ilsvrc2012/verification")]
        self.outcome.errors += [f"cut {self.outcome.cuts}: different: {path}" for path in found]
        self.outcome.errors += [f"cut {self.outcome.cuts}: left over: {path}" for path in leftovers(data_dir)]


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.power_cut", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-power-") as name:
        try:
            outcome = PowerCuts(Path(name), arguments.seed).cut(arguments.cuts, lambda text: print(text, flush=True))
        except CannotMountError as error:
            sys.exit(f"tests.reliability.power_cut: {error}")
    for line in outcome.errors:
        print(line)
    print(
        f"{outcome.cuts} cuts, {outcome.whole} whole after the next run, {outcome.repaired} after one repair, "
        f"{len(outcome.errors)} errors; seed {arguments.seed}"
    )
    sys.exit(1 if outcome.errors else 0)


if __name__ == "__main__":
    main()
