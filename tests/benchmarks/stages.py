"""The stages: what ours is, what the peers are, and where we want to be."""

import hashlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, read_synsets
from tests.benchmarks.data import (
    ANNOTATIONS,
    SYNSETS,
    TRAIN_SHARDS,
    VALIDATION_SHARDS,
    Data,
    link_archives,
    md5_of,
    megabytes,
)
from tests.benchmarks.measure import Arrange, BenchmarkError, Command, Goal, Stage, run
from tests.benchmarks.server import serve

LIMIT = 8_000_000
"""Bytes per second and connection of the slow server."""

TRAIN, VALIDATION, BOXES = (archive.name for archive in archives.ARCHIVES)

_LUIGI = (sys.executable, "-m", "luigi")
_LUIGI_AFTER_IMPORTS = (sys.executable, "-m", "tests.benchmarks.ours", "luigi_after_imports")
_MODULE = "Ours is the module `download` in a process of its own, without Luigi; both begin with an empty folder."


def _scheduling(data: Data) -> Command:
    return ["--workers", data.workers, "--local-scheduler"]


def _workers(data: Data) -> str:
    return "1 worker" if data.workers == 1 else f"{data.workers} workers"


def _luigi(data: Data, task: str, source: Path, data_dir: Path, *options: object, program: Command = _LUIGI) -> Command:
    return [
        *(*program, "--module", "luigi_ilsvrc", task, "--source", source, "--data-dir", data_dir),
        *(*options, *_scheduling(data)),
    ]


def _luigi_with_archives(data: Data, task: str, source: Path, *options: object, program: Command = _LUIGI) -> Arrange:
    """Return how to run a task where the archives lie as a download leaves them."""

    def arrange(outputs: Path) -> Command:
        link_archives(source, outputs)
        return _luigi(data, task, source, outputs, *options, program=program)

    return arrange


def _shell(*lines: str) -> Command:
    return ["bash", "-euc", "\n".join(lines)]


def _python(module: str, *arguments: object) -> str:
    return shlex.join(map(str, (sys.executable, "-m", f"tests.benchmarks.{module}", *arguments)))


# Downloads -----------------------------------------------------------------------------------------------------------


def _our_download(url: str, name: str, outputs: Path, md5: str, connections: int) -> Command:
    return [
        *(sys.executable, "-m", "tests.benchmarks.ours", "download"),
        *(url, name, outputs / name, md5, connections),
    ]


@contextmanager
def download(data: Data) -> Iterator[Stage]:
    """Download from loopback, as fast as it comes."""
    source = data.photographs
    with serve(source) as url:
        yield Stage(
            "download",
            f"download {megabytes(source / TRAIN)}, loopback, MD5 included",
            lambda outputs: _our_download(url, TRAIN, outputs, md5_of(source, TRAIN), 4),
            {
                "wget, md5sum": lambda outputs: _shell(
                    f"cd {outputs}",
                    f"wget -q {url}/{TRAIN}",
                    f"echo {md5_of(source, TRAIN)}  {TRAIN} | md5sum -c --quiet",
                )
            },
            [Goal("wget, md5sum", "wall", 0.8)],
            _MODULE,
        )


@contextmanager
def limited(data: Data) -> Iterator[Stage]:
    """Download from a server that gives each connection 8 MB/s."""
    source = data.slow
    md5 = hashlib.md5((source / TRAIN).read_bytes()).hexdigest()
    with serve(source, LIMIT) as url:
        yield Stage(
            "limited",
            f"download {megabytes(source / TRAIN)}, server limited to 8 MB/s a connection, 8 connections",
            lambda outputs: _our_download(url, TRAIN, outputs, md5, 8),
            {
                "wget": lambda outputs: ["wget", "-q", "-P", outputs, f"{url}/{TRAIN}"],
                "aria2c -x8": lambda outputs: [
                    *("aria2c", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none", "--no-conf"),
                    *("-d", outputs, f"{url}/{TRAIN}"),
                ],
            },
            [Goal("wget", "wall", 0.16), Goal("aria2c -x8", "wall", 1.05)],
            f"{_MODULE} Ours verifies the MD5, these peers do not. -s8 -k1M lets aria2c use its 8 connections.",
        )


@contextmanager
def parquet(data: Data) -> Iterator[Stage]:
    """Bring parquet files into an archive."""
    source, tables = data.parquet, data.photographs
    yield Stage(
        "parquet",
        f"import {data.images:,} training images from parquet files",
        lambda outputs: [sys.executable, "-m", "tests.benchmarks.ours", "parquet", source, tables, outputs],
        {"cp": lambda outputs: ["cp", *sorted(source.glob("data/*")), outputs]},
        [],
        "Ours is the module `layouts.parquet`, without Luigi; its imports included. It reads the files twice and the "
        "archive once, and has it on the disk. The peer copies the files.",
    )


# Extraction and boxes ------------------------------------------------------------------------------------------------


def _seed_loop(source: Path, folders: Path) -> list[str]:
    """Return the seed's loop, ``download_and_uncompress.sh``: the member, what is in it, and away with it."""
    return [
        f"mkdir {folders}; cd {folders}",
        f"while read -r synset; do tar xf {source / TRAIN} $synset.tar; mkdir $synset",
        f"tar xf $synset.tar -C $synset; rm $synset.tar; done < {source / UNIQUE_SYNSETS}",
    ]


def _two_pipes(source: Path, folders: Path) -> Command:
    synsets = read_synsets(source / UNIQUE_SYNSETS)
    halves = (" ".join(synsets[first::2]) for first in (0, 1))
    return _shell(
        f"cd {folders}; set -o pipefail",
        f"extract() {{ for synset; do mkdir $synset; tar xOf {source / TRAIN} $synset.tar | tar x -C $synset; done; }}",
        *(f"extract {half} & pids[{number}]=$!" for number, half in enumerate(halves)),
        'wait "${pids[0]}"; wait "${pids[1]}"',
    )


@contextmanager
def extract(data: Data) -> Iterator[Stage]:
    """Extract the training archive into class folders."""
    source = data.photographs
    yield Stage(
        "extract",
        f"extract the training archive, {data.images:,} images, {_workers(data)}",
        _luigi_with_archives(data, "TrainImages", source),
        {
            "seed's loop": lambda outputs: _shell(*_seed_loop(source, outputs / "folders")),
            "two tar pipes": lambda outputs: _two_pipes(source, outputs),
        },
        [Goal("seed's loop", "wall", 0.6), Goal("two tar pipes", "wall", 1.15)],
        "Ours is `luigi … TrainImages`: its start, the index and the manifests (CRC-32 of each image) included.",
    )


def _peer_boxes(source: Path, folders: Path, csv: Path) -> list[str]:
    return [
        f"mkdir {folders}; tar xzf {source / BOXES} -C {folders}",
        _python("peers", "elementtree", folders, csv),
    ]


@contextmanager
def boxes(data: Data) -> Iterator[Stage]:
    """From the archive of annotations to the CSV."""
    source = data.annotations
    peer = "tar xzf, ElementTree"
    yield Stage(
        "boxes",
        f"boxes of {data.scaled(ANNOTATIONS):,} XML files, archive to CSV",
        _luigi_with_archives(data, "BoundingBoxCSV", source),
        {peer: lambda outputs: _shell(*_peer_boxes(source, outputs / "xml", outputs / "boxes.csv"))},
        [Goal(peer, "wall", 0.6), Goal(peer, "cpu", 0.7)],
        "Ours is `luigi … BoundingBoxCSV`, its start included. The peer applies none of the rules that the data needs.",
    )


# Shards --------------------------------------------------------------------------------------------------------------


def _shard_options(data: Data) -> list[object]:
    train, validation = data.shards
    return ["--train-shards", train, "--validation-shards", validation]


@contextmanager
def shards(data: Data) -> Iterator[Stage]:
    """Cut TFRecord shards from the archives."""
    source = data.photographs
    train, validation = data.shards
    images = f"{data.images:,} + {data.validation_images:,} images"
    yield Stage(
        "shards",
        f"{train} + {validation} shards of {images}, from archives, {_workers(data)}",
        _luigi_with_archives(data, "TFRecords", source, *_shard_options(data), program=_LUIGI_AFTER_IMPORTS),
        {
            "tensorflow-datasets": lambda outputs: _shell(_python("peers", "tfds", source, outputs)),
            "cp": lambda outputs: ["cp", source / TRAIN, source / VALIDATION, outputs],
        },
        [
            Goal("tensorflow-datasets", "cpu", 0.5),
            Goal("tensorflow-datasets", "wall", 0.35),
            Goal("cp", "wall", 3.0),
            Goal("tensorflow-datasets", "wall", 0.35, is_cold=True),
            Goal("cp", "wall", 2.0, is_cold=True),
            Goal("cp", "disk", 1.15, is_cold=True),
        ],
        "Ours is `luigi … TFRecords` with the archives in place: index, boxes and plans included. Ours and "
        "tensorflow-datasets are counted once their libraries are imported; cp is counted whole. Shards are as large "
        "as those of the full data set. tensorflow-datasets writes neither boxes nor sizes.",
    )


@contextmanager
def webdataset(data: Data) -> Iterator[Stage]:
    """Cut WebDataset shards from the archives."""
    source = data.photographs
    train, validation = data.shards
    images = f"{data.images:,} + {data.validation_images:,} images"
    in_shard = -(-data.images // train)
    peer = "webdataset's ShardWriter"
    yield Stage(
        "webdataset",
        f"{train} + {validation} WebDataset shards of {images}, from archives, {_workers(data)}",
        _luigi_with_archives(data, "WebDatasets", source, *_shard_options(data), program=_LUIGI_AFTER_IMPORTS),
        {peer: lambda outputs: _shell(_python("peers", "shard_writer", source, outputs, in_shard))},
        [Goal(peer, "wall", 0.35, is_cold) for is_cold in (False, True)],
        "Ours is `luigi … WebDatasets` with the archives in place: index, boxes and plans included. The peer is one "
        "process, which reads the archives with Python's `tarfile`, in their order, and writes no boxes. Both are "
        "counted once their libraries are imported.",
    )


# The whole -----------------------------------------------------------------------------------------------------------


@contextmanager
def build(data: Data) -> Iterator[Stage]:
    """Build everything from a directory."""
    source = data.photographs

    def peer_command(outputs: Path) -> Command:
        validation = outputs / "validation"
        return _shell(
            f"cd {source}; md5sum -c --quiet MD5SUMS",
            *_seed_loop(source, outputs / "train"),
            f"mkdir {validation}; tar xf {source / VALIDATION} -C {validation}",
            *_peer_boxes(source, outputs / "xml", outputs / "boxes.csv"),
            f"{_python('peers', 'tfds', source, outputs)} count-imports",
        )

    yield Stage(
        "build",
        f"whole build, {data.images:,} + {data.validation_images:,} images, from a directory, {_workers(data)}",
        lambda outputs: _luigi(data, "BuildAll", source, outputs, *_shard_options(data)),
        {"sum of the peers": peer_command},
        [Goal("sum of the peers", "wall", 0.35, is_cold) for is_cold in (False, True)],
        "All starts and imports included. The peers, one after the other: md5sum, the seed's loop, tar xf of the "
        "validation images (unsorted), tar xzf and ElementTree, tensorflow-datasets.",
    )


@contextmanager
def verify(data: Data) -> Iterator[Stage]:
    """Verify a finished build."""
    source, built = data.photographs, data.directory / "finished"
    built.mkdir()
    run(_luigi(data, "BuildAll", source, built, *_shard_options(data)), data.directory / "command.log")

    def ours(outputs: Path) -> Command:
        shutil.rmtree(built / "ilsvrc2012" / "verification", ignore_errors=True)
        return _luigi(data, "VerifyBuild", source, built, *_shard_options(data))

    yield Stage(
        "verify",
        f"verify a finished build of {data.images:,} + {data.validation_images:,} images, {_workers(data)}",
        ours,
        {"two md5sum": lambda outputs: _shell(f"find {built} -type f -print0 | xargs -0 -P2 -n99 md5sum >/dev/null")},
        [Goal("two md5sum", "wall", 1.5, is_cold) for is_cold in (False, True)],
        "Ours is `luigi … VerifyBuild`. The peer reads the same files and compares them with nothing.",
    )
    shutil.rmtree(built)


# Reading -------------------------------------------------------------------------------------------------------------


@contextmanager
def read(data: Data) -> Iterator[Stage]:
    """Read the shards for a training."""
    source, built = data.photographs, {"ours": data.directory / "shards", "peer": data.directory / "tfds"}
    for side, command in {
        "ours": _luigi(data, "TFRecords", source, built["ours"], *_shard_options(data)),
        "peer": _shell(_python("peers", "tfds", source, built["peer"])),
    }.items():
        built[side].mkdir()
        run(command, data.directory / "command.log")

    def peer(dct_method: str) -> Arrange:
        return lambda outputs: _shell(_python("peers", "as_dataset", built["peer"], dct_method))

    yield Stage(
        "read",
        f"read {data.images:,} images from shards, decode them, resize them to 224 x 224, batches of 128",
        lambda outputs: _shell(_python("ours", "read", built["ours"])),
        {"tensorflow-datasets, same decoder": peer("INTEGER_ACCURATE"), "tensorflow-datasets": peer("default")},
        [Goal("tensorflow-datasets, same decoder", "wall", 1.0, is_cold) for is_cold in (False, True)],
        "Ours is `tf_dataset`, the peer `as_dataset` of its own data set of the same images, both in order and "
        "squashed, counted from the first batch that is asked for. By default, tensorflow-datasets decodes with "
        "INTEGER_FAST, which gives other pixels; ours takes INTEGER_ACCURATE, which the peer's first row has too.",
    )
    for directory in built.values():
        shutil.rmtree(directory)


# The graph -----------------------------------------------------------------------------------------------------------


def _graph_shape(data: Data) -> list[object]:
    return [
        *("--train-shards", data.scaled(TRAIN_SHARDS)),
        *("--validation-shards", data.scaled(VALIDATION_SHARDS)),
    ]


def _empty_graph(data: Data, outputs: Path) -> Command:
    return [
        *(*_LUIGI, "--module", "tests.benchmarks.empty_graph", "EmptyBuild", "--directory", outputs),
        *("--synsets", data.scaled(SYNSETS), *_graph_shape(data), *_scheduling(data)),
    ]


def _shape(data: Data) -> str:
    _, train, _, validation = _graph_shape(data)
    return f"{data.scaled(SYNSETS)} synsets, {train} + {validation} shards"


@contextmanager
def graph(data: Data) -> Iterator[Stage]:
    """Build next to nothing in a large graph."""
    source = data.trivial
    yield Stage(
        "graph",
        f"graph overhead, {_shape(data)}, trivial work, {_workers(data)}",
        lambda outputs: _luigi(data, "BuildAll", source, outputs, *_graph_shape(data)),
        {"empty graph": lambda outputs: _empty_graph(data, outputs)},
        [Goal("empty graph", "wall", 1.3)],
        "Ours is a whole build of one tiny image a synset and split; the peer's tasks make empty files.",
    )


@contextmanager
def complete(data: Data) -> Iterator[Stage]:
    """Find the build of the stage `graph` complete."""
    source = data.trivial
    built = {"ours": data.directory / "built", "peer": data.directory / "empty"}
    commands = {
        "ours": _luigi(data, "BuildAll", source, built["ours"], *_graph_shape(data)),
        "peer": _empty_graph(data, built["peer"]),
    }
    for side, directory in built.items():
        directory.mkdir()
        run(commands[side], data.directory / "command.log")
    yield Stage(
        "complete",
        f"complete build found complete, {_shape(data)}",
        lambda outputs: commands["ours"],
        {"empty graph": lambda outputs: commands["peer"]},
        [Goal("empty graph", "wall", 1.5)],
        "Both by Luigi's command line, its start included.",
    )
    for directory in built.values():
        shutil.rmtree(directory)


STAGES: dict[str, Callable[[Data], AbstractContextManager[Stage]]] = {
    "download": download,
    "limited": limited,
    "parquet": parquet,
    "extract": extract,
    "boxes": boxes,
    "shards": shards,
    "webdataset": webdataset,
    "build": build,
    "verify": verify,
    "read": read,
    "graph": graph,
    "complete": complete,
}

_PROGRAMS = {
    "download": ("wget", "md5sum"),
    "limited": ("wget", "aria2c"),
    "parquet": ("cp",),
    "extract": ("bash", "tar"),
    "boxes": ("bash", "tar"),
    "shards": ("cp",),
    "build": ("bash", "md5sum", "tar"),
    "verify": ("bash", "find", "xargs", "md5sum"),
}
_LIBRARIES = {
    "parquet": "pyarrow",
    "webdataset": "webdataset",
    **dict.fromkeys(("shards", "build", "read"), "tensorflow_datasets"),
}


def require_peers(names: list[str]) -> None:
    """Raise `BenchmarkError`, naming all that is not installed of what these stages compare with."""
    from importlib.util import find_spec

    missing = {program for name in names for program in _PROGRAMS.get(name, ()) if shutil.which(program) is None}
    missing |= {_LIBRARIES[name] for name in names if name in _LIBRARIES and find_spec(_LIBRARIES[name]) is None}
    if missing:
        raise BenchmarkError(
            f"not installed: {', '.join(sorted(missing))}; see README for the packages, or choose other stages with "
            "--stage"
        )
