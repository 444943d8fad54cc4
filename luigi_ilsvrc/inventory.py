"""Which files and folders a build may have, and what lies among them that is not of the build."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.findings import Finding, Kind
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.layouts.table import LAYOUTS
from luigi_ilsvrc.storage.publish import PARTIAL_SUFFIX

IsKnown = Callable[[str], bool]


@dataclass(frozen=True)
class OutputFolder:
    """A folder that outputs are made in.

    Attributes
    ----------
    path : Path
        May be missing.
    is_output : callable
        Tells of a name whether the build makes it.
    is_shared : bool
        Whether files of other names than those of outputs are anybody's.
    """

    path: Path
    is_output: IsKnown
    is_shared: bool = False


def output_folders(paths: DataSetPaths, synsets: Collection[str] | None = None) -> list[OutputFolder]:
    """Return the folders that outputs are made in, but for those that are outputs as a whole.

    Parameters
    ----------
    paths : DataSetPaths
        The build.
    synsets : collection of str, optional
        Those of the challenge; without them, any name is taken for a class folder.
    """
    is_synset: IsKnown = (lambda name: True) if synsets is None else set(synsets).__contains__
    csv = paths.bounding_boxes.name
    single = {csv, paths.annotations.name, *(paths.class_folders(split).name for split in SPLITS if split != TRAIN)}
    manifest_folders = {paths.class_folders(TRAIN).name, paths.index_folder.name}
    is_index = _index_names(paths)
    return [
        OutputFolder(paths.data_dir, csv.__eq__, is_shared=True),
        OutputFolder(paths.dataset, _dataset_names(paths).__contains__),
        OutputFolder(paths.class_folders(TRAIN), is_synset),
        *(OutputFolder(paths.records(item.FOLDER), item.is_shard_name) for item in FORMATS.values()),
        OutputFolder(paths.index_folder, lambda name: name == paths.manifests.name or is_index(name)),
        OutputFolder(paths.manifests, lambda name: name in manifest_folders or _is_manifest(name, single.__contains__)),
        OutputFolder(
            paths.manifest(paths.class_folders(TRAIN)).with_suffix(""), lambda name: _is_manifest(name, is_synset)
        ),
        OutputFolder(paths.manifests / paths.index_folder.name, lambda name: _is_manifest(name, is_index)),
    ]


def _dataset_names(paths: DataSetPaths) -> set[str]:
    outputs = [
        paths.annotations,
        paths.index_folder,
        paths.verifications,
        *(paths.class_folders(split) for split in SPLITS),
        *(paths.records(item.FOLDER) for item in FORMATS.values()),
        *(path for archive in ARCHIVES for path in (paths.archive(archive), paths.quarantine(archive))),
    ]
    return {path.name for path in outputs}


def _index_names(paths: DataSetPaths) -> IsKnown:
    indexes = {paths.index(split, layout.INDEX_SUFFIX).name for split in SPLITS for layout in LAYOUTS.values()}
    plans = tuple(paths.plan(split, 0).name.rstrip("0") for split in SPLITS)

    def is_index(name: str) -> bool:
        plan = next((plan for plan in plans if name.startswith(plan)), None)
        return name in indexes or (plan is not None and name.removeprefix(plan).isdecimal())

    return is_index


def _is_manifest(name: str, is_output: IsKnown) -> bool:
    return name.endswith(".csv") and is_output(name.removesuffix(".csv"))


def find_extra(folder: OutputFolder) -> Iterator[Finding]:
    """Yield what lies directly in a folder and is not of the build; hidden files are ignored."""
    for name in sorted(os.listdir(folder.path)) if folder.path.is_dir() else ():
        if folder.is_output(name) or name.startswith("."):
            continue
        if _is_unfinished(name, folder):
            yield Finding(Kind.LEFTOVER, folder.path / name, "a process died while it made this")
        elif not folder.is_shared:
            yield Finding(Kind.EXTRA, folder.path / name, "the build did not write it")


def find_unfinished(folder: OutputFolder) -> Iterator[Path]:
    """Yield the unfinished outputs in a folder: what processes are making, or have left when they died."""
    for name in sorted(os.listdir(folder.path)) if folder.path.is_dir() else ():
        if _is_unfinished(name, folder):
            yield folder.path / name


def _is_unfinished(name: str, folder: OutputFolder) -> bool:
    output, suffix, _ = name.partition(PARTIAL_SUFFIX)
    return bool(suffix) and folder.is_output(output)
