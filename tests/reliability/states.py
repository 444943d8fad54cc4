"""Damages builds at random, and shows that one repair and one build make them right again.

    python -m tests.reliability.states [--cases 200] [--seed N]

Each case is a finished or half-finished build of a miniature with one to four damages, sometimes with other label
tables or archives in the source, without its archives, or begun without checksums. It is then built, verified, at most
once repaired, built and verified again. Wrong is *verified and wrong*: VerifyBuild says that all is well, and a file is
not that of an undisturbed build of the tables and archives that the build's record names. So is *never well*: neither
well in the end, nor after a person has done what the messages ask for. The exit status is 1 if there is any of the two.
"""

import argparse
import multiprocessing
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path

from luigi_ilsvrc.build_record import BuildRecordError, is_as_written
from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from tests.support.damage import Damage
from tests.support.in_process import Run, run
from tests.support.running import contents
from tests.support.variants import BASE, SHARDS, Variants, differences, is_begun_with, is_remembered, outputs

_DELETE = re.compile(r"(?:^|\s)(/[^\s:,]+)(?: is|: its)[^\n]*?\b[Dd]elete it", re.MULTILINE)
_REFUSED = ("nothing is mixed", "differ: one of them is another build's")
_FOREIGN = re.compile(r"^ *extra (/\S+): .*no task makes it", re.MULTILINE)


class Verdict(Enum):
    """What became of a case."""

    WELL = "well without a repair"
    REPAIRED = "well after one repair"
    REFUSED = "refused at once, with nothing written, and well after the change was undone"
    PERSON = "well after a person did what the message says"
    WRONG = "verified and wrong"
    NEVER_WELL = "never well"

    @property
    def is_good(self) -> bool:
        """Whether that is as it should be."""
        return self not in (Verdict.WRONG, Verdict.NEVER_WELL)


@dataclass
class Case:
    """One damaged build.

    Attributes
    ----------
    number : int
        Which, of those with the same seed.
    story : list of str
        What was done and said.
    """

    number: int
    data_dir: Path
    source: Path
    options: Sequence[str]
    story: list[str] = field(default_factory=list)

    def command(self, command: str, *options: object) -> Run:
        """Run a command on the build, and note what it said."""
        shards = SHARDS if command != "IndexTrain" else ()
        arguments = ("--data-dir", self.data_dir, "--source", self.source, *shards, *self.options, *options)
        done = run(command, *arguments)
        told = [line for line in done.output.splitlines() if _is_worth_telling(line)]
        self.story.append(f"{' '.join(map(str, (command, *options)))}: {done.status}")
        self.story += [f"    {_without_worker(line)[:300]}" for line in told[:6]]
        if not done.is_clear:
            self.story += [f"    | {line}" for line in done.output.splitlines()[-60:]]
        return done


def _without_worker(line: str) -> str:
    return re.sub(r"\[pid .*failed +", "", line)


def _is_worth_telling(line: str) -> bool:
    return line.startswith(("ERROR", "  ")) and not line.startswith("    ")


class Player:
    """Makes cases and plays them.

    Parameters
    ----------
    directory : Path
        Empty; everything is written there.
    seed : int
        Of all cases; with its number, a case is determined.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._seed = seed
        self._variants = Variants(directory / "variants")
        base = self._variants.sources[BASE]
        self._halves = [self._half_build(base, directory / "halves" / str(it), it) for it in range(len(_HALVES))]

    def _half_build(self, source: Path, data_dir: Path, number: int) -> Path:
        for command in _HALVES[number]:
            built = run(str(command[0]), *command[1:], "--data-dir", data_dir, "--source", source)
            assert built.is_well, built.output
        return data_dir

    def play(self, number: int) -> tuple[Verdict, Case]:
        """Make a case, play it, and remove it."""
        rng = random.Random(f"{self._seed} {number}")
        directory = self._directory / f"case-{number}"
        case = self._make(directory, number, rng)
        try:
            verdict = self._play(case, directory / "undo")
            case.story.append(verdict.value)
            return verdict, case
        finally:
            shutil.rmtree(directory)

    def _make(self, directory: Path, number: int, rng: random.Random) -> Case:
        finished = rng.random() < 0.7
        start = self._variants.builds[BASE] if finished else rng.choice(self._halves)
        case = Case(number, directory / "data", directory / "source", ())
        case.story.append("a finished build" if finished else f"a half-finished build, {start.name}")
        base = self._variants.sources[BASE]
        shutil.copytree(base, directory / "undo")
        shutil.copytree(base, case.source)
        if rng.random() < 0.15:
            # As somebody has it who has no checksums: then only what was remembered tells archives apart.
            case.options = ("--checksums", "none")
            case.story.append("without checksums")
            shutil.rmtree(case.data_dir, ignore_errors=True)
            case.command("BuildAll" if finished else "IndexTrain")
            case.story[-1:] = []
        else:
            # Not by copytree of links: the archives are links to those of the source.
            shutil.copytree(start, case.data_dir)
        without_archives = rng.random() < 0.25
        if without_archives:
            for archive in case.data_dir.glob("ilsvrc2012/*.tar*"):
                archive.unlink()
            case.story.append("the archives deleted, as a user may")
        donor = rng.choice([path for name, path in self._variants.builds.items() if name != BASE])
        damage = Damage(case.data_dir, donor, rng, keep_index=without_archives)
        case.story += [
            f"{damage.damage()} ({donor.name})" for _ in range(rng.randint(0 if rng.random() < 0.3 else 1, 4))
        ]
        if rng.random() < 0.25:
            self._change_source(case, rng)
        return case

    def _change_source(self, case: Case, rng: random.Random) -> None:
        name = rng.choice([name for name in self._variants.sources if name != BASE])
        shutil.rmtree(case.source)
        shutil.copytree(self._variants.sources[name], case.source)
        case.story.append(f"the source changed to {name}")

    def _play(self, case: Case, undo: Path) -> Verdict:
        has_record = is_as_written(DataSetPaths(case.data_dir).build_record)
        before = contents(case.data_dir)
        built = case.command("BuildAll")
        is_refused = False
        if not built.is_clear:
            return Verdict.NEVER_WELL
        if any(it in built.output for it in _REFUSED):
            is_refused = True
            if has_record and contents(case.data_dir) != before:
                case.story.append("it was refused, and something was written")
                return Verdict.NEVER_WELL
            self._undo(case, undo)
            case.command("BuildAll")
        done = Verdict.REFUSED if is_refused else Verdict.WELL
        verified = case.command("VerifyBuild")
        if verified.is_well:
            return self._compare(case, done)
        return self._repair(case, done if is_refused else Verdict.REPAIRED, undo)

    def _undo(self, case: Case, undo: Path) -> bool:
        """Put the source back, or delete the index of another build; return whether there was either."""
        if damaged := self._variants.unknown_archives(case.source):
            # It was a hard link to the archive in the build, and is damaged alike.
            case.story.append(f"a person restores {', '.join(damaged)} in the source")
            for name in damaged:
                shutil.copy(undo / name, case.source / name)
            return True
        try:
            if is_begun_with(case.data_dir, case.source):
                return False
            restores = is_begun_with(case.data_dir, undo)
            deletes = not restores
        except BuildRecordError:
            # Neither record says what the build was begun with: the message asks for both.
            deletes = restores = True
        if restores:
            case.story.append("a person restores the source")
            shutil.rmtree(case.source)
            shutil.copytree(undo, case.source)
        if deletes:
            case.story.append("a person deletes the build record that is damaged, or another build's")
            paths = DataSetPaths(case.data_dir)
            foreign = [paths.archive_record(it) for it in ARCHIVES if not is_remembered(paths, it, undo, case.source)]
            for path in (paths.build_record, paths.build_record_copy, *foreign):
                path.unlink(missing_ok=True)
        return True

    def _repair(self, case: Case, done: Verdict, undo: Path) -> Verdict:
        said = [case.command("VerifyBuild", "--repair", "true"), case.command("BuildAll"), case.command("VerifyBuild")]
        if said[-1].is_well:
            return self._compare(case, done)
        if done is Verdict.PERSON or not all(it.is_clear for it in said):
            return Verdict.NEVER_WELL
        # Both: what no task makes may lie beside an archive that has to be restored.
        has_obeyed = (self._obey("".join(it.output for it in said[-2:]), case), self._undo(case, undo))
        if not any(has_obeyed):
            return Verdict.NEVER_WELL
        case.command("BuildAll")
        if case.command("VerifyBuild").is_well:
            return self._compare(case, Verdict.PERSON)
        return self._repair(case, Verdict.PERSON, undo)

    def _obey(self, output: str, case: Case) -> bool:
        """Do what the messages ask a person for: delete what no task makes, or what they say to delete."""
        named = {Path(path) for path in (*_FOREIGN.findall(output), *_DELETE.findall(output))}
        files = [path for path in named if path.is_relative_to(case.data_dir) and path.exists()]
        for path in files:
            case.story.append(f"a person deletes {path.relative_to(case.data_dir)}")
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return bool(files)

    def _compare(self, case: Case, done: Verdict) -> Verdict:
        found = outputs(case.data_dir)
        wrong = [differences(found, expected) for expected in self._variants.expected(case.data_dir, case.source)]
        if [] in wrong:
            return done
        case.story += [f"    different: {path}" for path in min(wrong, key=len, default=["no such tables or archives"])]
        return Verdict.WRONG


_HALVES: Sequence[Sequence[tuple[object, ...]]] = (
    [("IndexTrain",)],
    [("PlanShards", "--split", "train", "--num-shards", 2), ("TrainImages",)],
    [("TFRecordShard", "--split", "train", "--num-shards", 2, "--shard", 1), ("SortValidation",)],
    [("ExtractBoundingBoxes",), ("PlanShards", "--split", "validation", "--num-shards", 1)],
)
"""What half-finished builds have done so far."""


def play_all(
    directory: Path, numbers: Sequence[int], seed: int, tell: Callable[[str], object], *, tell_all: bool = False
) -> dict[Verdict, int]:
    """Play cases, two at a time; tell the story of those that go wrong, or of all; count the verdicts."""
    player = Player(directory, seed)
    counts = dict.fromkeys(Verdict, 0)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        for verdict, case in pool.map(player.play, numbers):
            counts[verdict] += 1
            if tell_all or not verdict.is_good:
                tell(f"case {case.number}: " + "\n".join(case.story))
    return counts


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.states", description=__doc__)
    parser.add_argument("--cases", type=int, default=200, metavar="N")
    parser.add_argument("--case", type=int, metavar="N", help="play this one alone, and tell all of it")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    numbers = range(arguments.cases) if arguments.case is None else [arguments.case]
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-states-") as name:
        tell = partial(print, flush=True)
        counts = play_all(Path(name), numbers, arguments.seed, tell, tell_all=arguments.case is not None)
    for verdict, count in counts.items():
        print(f"{count:6} {verdict.value}")
    print(
        f"{len(numbers)} cases, {counts[Verdict.WRONG]} verified and wrong, {counts[Verdict.NEVER_WELL]} never well; "
        f"seed {arguments.seed}"
    )
    sys.exit(0 if all(verdict.is_good for verdict, count in counts.items() if count) else 1)


if __name__ == "__main__":
    main()
