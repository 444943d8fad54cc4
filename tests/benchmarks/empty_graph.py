"""A Luigi graph of the shape of `luigi_ilsvrc.BuildAll`, whose tasks make empty files: what Luigi itself costs."""

from collections.abc import Iterator
from pathlib import Path

import luigi


class EmptyTask(luigi.Task):
    """Makes an empty file."""

    directory = luigi.Parameter()
    name = luigi.Parameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"{self.directory}/{self.name}")

    def run(self) -> None:
        Path(self.output().path).touch()

    def empty(self, task: type["EmptyTask"], name: str) -> "EmptyTask":
        return task(directory=self.directory, name=name)


class Download(EmptyTask):
    """As one of the three downloads."""


class Index(EmptyTask):
    """As an index, or the annotations."""

    def requires(self) -> luigi.Task:
        return self.empty(Download, f"{self.name}.tar")


class Plan(EmptyTask):
    """As a plan of shards, which requires an index and the boxes."""

    def requires(self) -> list[luigi.Task]:
        return [self.empty(Index, str(self.name).removeprefix("plan-")), self.empty(Index, "boxes")]


class Synset(EmptyTask):
    """As the extraction of a synset."""

    def requires(self) -> luigi.Task:
        return self.empty(Index, "train")


class Shard(EmptyTask):
    """As a shard."""

    def requires(self) -> luigi.Task:
        return self.empty(Plan, f"plan-{str(self.name).partition('-')[0]}")


class EmptyBuild(luigi.WrapperTask):
    """All of it."""

    directory = luigi.Parameter()
    synsets = luigi.IntParameter()
    train_shards = luigi.IntParameter()
    validation_shards = luigi.IntParameter()

    def requires(self) -> Iterator[luigi.Task]:
        yield Images(directory=self.directory, count=self.synsets)
        yield Index(directory=self.directory, name="validation")
        yield Index(directory=self.directory, name="boxes")
        yield Shards(directory=self.directory, train=self.train_shards, validation=self.validation_shards)


class Images(luigi.WrapperTask):
    """The hub of the synsets."""

    directory = luigi.Parameter()
    count = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        return [Synset(directory=self.directory, name=f"synset-{number}") for number in range(self.count)]


class Shards(luigi.WrapperTask):
    """The hub of the shards."""

    directory = luigi.Parameter()
    train = luigi.IntParameter()
    validation = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        counts = {"train": self.train, "validation": self.validation}
        return [
            Shard(directory=self.directory, name=f"{split}-{number}")
            for split, count in counts.items()
            for number in range(count)
        ]
