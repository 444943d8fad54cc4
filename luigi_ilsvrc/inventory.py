"""Which files and folders a build may have, and what lies among them that is not of the build."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.findings import Finding, Kind
from luigi_ilsvrc.formats.side_files import each_shard
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.layouts.source_folders import source_links
from luigi_ilsvrc.layouts.table import LAYOUTS
from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX, output_name
from luigi_ilsvrc.timings import is_timings_name

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


def output_folders(
    paths: DataSetPaths,
    synsets: Collection[str] | None = None,
    shard_counts: Mapping[str, int] | None = None,
    selection: str = "",
) -> list[OutputFolder]:
    """Return the folders that outputs are made in, but for those that are outputs as a whole.

    Parameters
    ----------
    paths : DataSetPaths
        The build.
    synsets : collection of str, optional
        Those of the challenge; without them, any name is taken for a class folder.
    shard_counts : mapping, optional
        How many shards each split has; without it, shards and plans of any number are outputs.
    selection : str
        Which records `shard_counts` is about: those in folders whose names end in it. Of others, any number may be.
    """
    is_synset: IsKnown = (lambda name: True) if synsets is None else set(synsets).__contains__
    is_index = _index_names(paths, shard_counts, selection)
    in_records = _records_names(paths, shard_counts, selection)
    with_shards = _names_of_folders(paths, (item.FOLDER for item in FORMATS.values()))
    is_shard = {folder: is_known for folder, is_known in in_records.items() if folder in with_shards}
    train = paths.class_folders(TRAIN)
    class_folders = {paths.class_folders(split).name for split in SPLITS}
    csvs = {paths.bounding_boxes.name, paths.validation_bounding_boxes.name}
    below_dataset = {paths.annotations, paths.classes, paths.label_tables, *map(paths.class_folders, SPLITS)} - {train}
    single = {*csvs, *(path.name for path in below_dataset)}
    archive_records = {paths.archive_record(archive).name for archive in ALL_ARCHIVES}
    below = {train: is_synset, paths.index_folder: is_index, **{paths.records(it): is_shard[it] for it in is_shard}}
    return [
        OutputFolder(paths.data_dir, csvs.__contains__, is_shared=True),
        OutputFolder(paths.dataset, lambda name: name in _dataset_names(paths) or _is_of_selection(name)),
        OutputFolder(train, is_synset),
        *(OutputFolder(paths.records(folder), is_known) for folder, is_known in in_records.items()),
        *(OutputFolder(folder, class_folders.__contains__) for folder in _subsets_in(paths.all_subset_folders)),
        OutputFolder(paths.all_subset_folders, _is_subset),
        OutputFolder(paths.all_subset_lists, lambda name: name.endswith(".txt") and _is_subset(name[:-4])),
        OutputFolder(paths.index_folder, lambda name: name in _index_folder_names(paths) or is_index(name)),
        OutputFolder(
            paths.manifests,
            lambda name: (
                name in archive_records
                or name in {it.name for it in (*below, paths.all_subset_folders)}
                or _is_manifest(name, single.__contains__)
            ),
        ),
        *_folders_of_manifests(paths.manifests, below),
        *_folders_of_subset_manifests(paths.manifests / paths.all_subset_folders.name, class_folders.__contains__),
        OutputFolder(paths.all_details, lambda name: name in is_shard or _is_manifest(name, csvs.__contains__)),
        *_folders_of_manifests(paths.all_details, {paths.records(it): is_shard[it] for it in is_shard}),
        OutputFolder(paths.tables, lambda name: name == paths.build_record_copy.name or _is_table_copy(name)),
        OutputFolder(paths.timings, is_timings_name),
        OutputFolder(paths.all_begun_records, _is_begun),
        OutputFolder(paths.all_side_manifests, _is_side_manifest),
    ]


def _any_of(known: Collection[IsKnown]) -> IsKnown:
    return lambda name: any(is_known(name) for is_known in known)


def _records_names(paths: DataSetPaths, shard_counts: Mapping[str, int] | None, selection: str) -> dict[str, IsKnown]:
    """Return for each folder of records, or of what is made beside them, which files lie there."""
    names: dict[str, list[IsKnown]] = {}
    for format_name, item in FORMATS.items():
        for folder in _names_of_folders(paths, [item.FOLDER]):
            counts = shard_counts if folder == item.FOLDER + selection else None
            names.setdefault(folder, []).append(_shard_names(format_name, counts))
        for kind in item.SIDE_FILES:
            for folder in _names_of_folders(paths, [kind.folder]):
                counts = shard_counts if folder == kind.folder + selection else None
                is_name = kind.is_name if counts is None else set(kind.names(counts)).__contains__
                names.setdefault(folder, []).append(is_name)
    return {folder: _any_of(known) for folder, known in names.items()}


def _names_of_folders(paths: DataSetPaths, folders: Iterable[str]) -> set[str]:
    """Return the names of these folders, and of those that are there of a subset or a size of their own."""
    present = _present(paths)
    return {
        name
        for folder in folders
        for name in [folder, *(it for it in present if it.startswith(f"{folder}-") and _is_of_selection(it))]
    }


def _present(paths: DataSetPaths) -> list[str]:
    # Records that were deleted leave their manifests and details.
    folders = (paths.dataset, paths.manifests, paths.all_details)
    return [name for folder in folders if folder.is_dir() for name in os.listdir(folder)]


_SIZED = re.compile(r"[a-z]+-(?:short|max)[0-9]+")
_SELECTED = re.compile(r"(?P<folder>[a-z_]+)-[A-Za-z0-9][A-Za-z0-9._-]*")
_REPORT = "report"


def _is_of_selection(name: str) -> bool:
    """Tell whether a name is that of records of a subset or a size, of what is beside them, or of their report."""
    match = _SELECTED.fullmatch(name)
    return match is not None and PARTIAL_SUFFIX not in name and match["folder"] in (*_record_folders(), _REPORT)


def _record_folders() -> set[str]:
    formats = FORMATS.values()
    return {*(item.FOLDER for item in formats), *(kind.folder for item in formats for kind in item.SIDE_FILES)}


def _is_subset(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None and PARTIAL_SUFFIX not in name


def _subsets_in(folder: Path) -> list[Path]:
    return [it for it in sorted(folder.iterdir()) if _is_subset(it.name)] if folder.is_dir() else []


def _is_begun(name: str) -> bool:
    """Tell whether a name is one of those that `DataSetPaths.begun_records` gives."""
    folder, _, split = name.rpartition("-")
    return split in SPLITS and (folder in _record_folders() or _is_of_selection(folder))


def _is_side_manifest(name: str) -> bool:
    """Tell whether a name is one of those that `DataSetPaths.side_manifest` gives."""
    return any(
        name.startswith(kind.folder) and name.endswith(f"-{kind.task}{end}.csv")
        for item in FORMATS.values()
        for kind in item.SIDE_FILES
        for end in ([f"-{split}" for split in SPLITS] if kind.is_by_split else [""])
    )


def _is_table_copy(name: str) -> bool:
    digest, _, table = name.partition("-")
    return re.fullmatch("[0-9a-f]{16}", digest) is not None and table in (
        UNIQUE_SYNSETS,
        VALIDATION_SYNSET_LABELS,
        SYNSET_ENGLISH_KEY,
    )


def _folders_of_manifests(all_manifests: Path, below: Mapping[Path, IsKnown]) -> Iterator[OutputFolder]:
    for folder, is_output in below.items():
        # What lies in a folder that is linked is not ours, whatever its name.
        if not (manifests := all_manifests / folder.name).is_symlink():
            yield OutputFolder(manifests, partial(_is_manifest, is_output=is_output))


def _folders_of_subset_manifests(folder: Path, is_output: IsKnown) -> Iterator[OutputFolder]:
    if not folder.is_symlink():
        yield OutputFolder(folder, _is_subset)
        for manifests in _subsets_in(folder):
            if not manifests.is_symlink():
                yield OutputFolder(manifests, partial(_is_manifest, is_output=is_output))


def _is_manifest(name: str, is_output: IsKnown) -> bool:
    return name.endswith(".csv") and is_output(name.removesuffix(".csv"))


def _dataset_names(paths: DataSetPaths) -> set[str]:
    outputs = [
        paths.annotations,
        paths.classes,
        paths.label_tables,
        paths.index_folder,
        paths.verifications,
        paths.report,
        paths.all_subset_folders,
        *(paths.class_folders(split) for split in SPLITS),
        *(paths.records(item.FOLDER) for item in FORMATS.values()),
        *(paths.records(kind.folder) for item in FORMATS.values() for kind in item.SIDE_FILES),
        *(path for archive in ALL_ARCHIVES for path in (paths.archive(archive), paths.quarantine(archive))),
    ]
    return {path.name for path in outputs}


def _index_folder_names(paths: DataSetPaths) -> set[str]:
    own = (
        *(paths.manifests, paths.all_details, paths.timings, paths.build_record, paths.tables, paths.locks),
        *(paths.extracted_ahead, paths.all_begun_records, paths.all_side_manifests, paths.all_subset_lists),
    )
    of_splits = (path(split) for path in (paths.parquet_import, paths.boxes_of_records) for split in SPLITS)
    return {path.name for path in (*own, *source_links(paths), *of_splits)}


def _index_names(paths: DataSetPaths, shard_counts: Mapping[str, int] | None, selection: str) -> IsKnown:
    indexes = {paths.index(split, layout.INDEX_SUFFIX).name for split in SPLITS for layout in LAYOUTS.values()}
    # Records of a size of their own, of all images, may have other numbers of shards, and so plans of these.
    is_any = shard_counts is None or selection or any(map(_SIZED.fullmatch, _present(paths)))
    counts = {} if shard_counts is None or is_any else shard_counts
    plans = {paths.plan(split, num_shards).name for split, num_shards in counts.items()}

    def is_index(name: str) -> bool:
        plan = _PLAN.fullmatch(name)
        is_any_plan = plan is not None and (plan["subset"] is not None or not plans)
        return name in indexes or name in plans or is_any_plan

    return is_index


_PLAN = re.compile(rf"(?:{'|'.join(SPLITS)})-plan(?P<subset>-[A-Za-z0-9][A-Za-z0-9._-]*)?-of-[0-9]{{5,}}")


def _shard_names(format_name: str, shard_counts: Mapping[str, int] | None) -> IsKnown:
    record_format = FORMATS[format_name]
    if shard_counts is None:
        return record_format.is_shard_name
    return {record_format.shard_name(*shard) for shard in each_shard(shard_counts)}.__contains__


def find_extra(folder: OutputFolder) -> Iterator[Finding]:
    """Yield what lies directly in a folder and is not of the build; hidden and unfinished files are ignored."""
    for name in sorted(os.listdir(folder.path)) if folder.path.is_dir() and not folder.is_shared else ():
        if not (folder.is_output(name) or name.startswith(".") or _is_unfinished(name, folder)):
            yield Finding(Kind.EXTRA, folder.path / name, "the build did not write it")


def find_unfinished(folder: OutputFolder) -> Iterator[Path]:
    """Yield the unfinished outputs in a folder: what processes are making, or have left when they died."""
    for name in sorted(os.listdir(folder.path)) if folder.path.is_dir() else ():
        if _is_unfinished(name, folder):
            yield folder.path / name


def _is_unfinished(name: str, folder: OutputFolder) -> bool:
    """Tell whether a name is a temporary one, or one of those that a download keeps."""
    output = (output_name(name) or name).partition(PARTIAL_SUFFIX)[0]
    return output != name and folder.is_output(output)
