"""Builds of many tasks that do next to nothing, in which what happens between the tasks takes all the time."""

import os
from pathlib import Path

import luigi

from luigi_ilsvrc.tasks.base import ILSVRCTask


def _mark(data_dir: str | Path, number: int) -> luigi.LocalTarget:
    return luigi.LocalTarget(os.path.join(data_dir, f"{number}.done"))


class Tiny(ILSVRCTask):
    """A task of the package."""

    number = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return _mark(self.data_dir, self.number)

    def run(self) -> None:
        self.output().makedirs()
        Path(self.output().path).touch()


class Tinies(ILSVRCTask, luigi.WrapperTask):
    """All of them."""

    count = luigi.IntParameter()

    def requires(self) -> list[Tiny]:
        return [Tiny(data_dir=self.data_dir, number=number) for number in range(self.count)]


class PlainTiny(luigi.Task):
    """A task of somebody else."""

    data_dir = luigi.Parameter()
    number = luigi.IntParameter()

    def output(self) -> luigi.LocalTarget:
        return _mark(self.data_dir, self.number)

    def run(self) -> None:
        self.output().makedirs()
        Path(self.output().path).touch()


class PlainTinies(luigi.WrapperTask):
    """All of them."""

    data_dir = luigi.Parameter()
    count = luigi.IntParameter()

    def requires(self) -> list[PlainTiny]:
        return [PlainTiny(data_dir=self.data_dir, number=number) for number in range(self.count)]


class MixedTinies(luigi.WrapperTask):
    """Every second one is a task of the package."""

    data_dir = luigi.Parameter()
    count = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        kinds = (PlainTiny, Tiny)
        return [kinds[number % 2](data_dir=self.data_dir, number=number) for number in range(self.count)]
