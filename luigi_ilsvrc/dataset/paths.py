"""Where each output of a build lies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from luigi_ilsvrc.dataset.archives import Archive
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.storage.temporary import owned_path

_CLASS_FOLDERS = {TRAIN: "training_images", VALIDATION: "validation_images"}


@dataclass(frozen=True)
class DataSetPaths:
    """The paths of one build.

    Parameters
    ----------
    data_dir : Path
        The folder that the user named.
    source : Path, optional
        The source, if it is a folder: what is missing may be read there.
    """

    data_dir: Path
    source: Path | None = None

    @cached_property
    def dataset(self) -> Path:
        """The folder of all outputs but the CSV of boxes; paths in an index are relative to it."""
        return self.data_dir / "ilsvrc2012"

    @cached_property
    def bounding_boxes(self) -> Path:
        """The CSV of bounding boxes."""
        return self.data_dir / "bounding_boxes.csv"

    @cached_property
    def validation_bounding_boxes(self) -> Path:
        """The CSV of bounding boxes of validation images."""
        return self.data_dir / "validation_bounding_boxes.csv"

    @cached_property
    def classes(self) -> Path:
        """The table of classes."""
        return self.dataset / "classes.csv"

    @cached_property
    def label_tables(self) -> Path:
        """The label tables of the build, for those who read its outputs."""
        return self.dataset / "label_tables"

    @cached_property
    def annotations(self) -> Path:
        """The extracted annotations, one XML file an image, in class folders."""
        return self.dataset / "training_bounding_boxes"

    def archive(self, archive: Archive) -> Path:
        """Return where a downloaded archive lies."""
        return self.dataset / archive.local_name

    def quarantine(self, archive: Archive) -> Path:
        """Return where a repair puts a damaged archive, until it is downloaded again."""
        return self.dataset / f"{archive.local_name}.damaged"

    def class_folders(self, split: str) -> Path:
        """Return the folder that holds a folder of images for each synset."""
        return self.dataset / _CLASS_FOLDERS[split]

    def records(self, folder: str) -> Path:
        """Return the folder of the shards of a format, given the format's name for it."""
        return self.dataset / folder

    @cached_property
    def index_folder(self) -> Path:
        """What is made for speed: indexes, plans and manifests."""
        return self.dataset / "index"

    @cached_property
    def extracted_ahead(self) -> Path:
        """Class folders of training images whose archive is not verified yet; each command has a temporary name of it.

        See `ahead`.
        """
        return self.index_folder / "extracted_ahead"

    def index(self, split: str, suffix: str = "") -> Path:
        """Return the index of a split's images; `suffix` is that of the layout they are in."""
        return self.index_folder / f"{split}{suffix}"

    def source_link(self, split: str) -> Path:
        """Return the link to the images of a split that are read in the source; see `layouts.source_folders`."""
        return self.index_folder / f"source-{split}"

    def boxes_of_records(self, split: str) -> Path:
        """Return the file that says whether the records of a split were begun with boxes."""
        return self.index_folder / f"{split}-boxes"

    @cached_property
    def all_begun_records(self) -> Path:
        """The folder of what the records were begun with."""
        return self.index_folder / "begun"

    def begun_records(self, folder: str, split: str) -> Path:
        """Return the file that says what the records of a split, in a folder below `dataset`, were begun with."""
        return self.all_begun_records / f"{folder}-{split}"

    @cached_property
    def all_side_manifests(self) -> Path:
        """The folder of the manifests of what is made beside shards."""
        return self.index_folder / "side_files"

    def side_manifest(self, folder: str, task: str, split: str = "") -> Path:
        """Return the manifest of what a task makes beside shards, of a split or of all, in a folder below `dataset`."""
        return self.all_side_manifests / f"{folder}-{task}{split and f'-{split}'}.csv"

    def parquet_import(self, split: str) -> Path:
        """Return the folder of what is needed to go on with an archive that is made from parquet files."""
        return self.index_folder / f"{split}-parquet"

    def plan(self, split: str, num_shards: int, subset: str = "") -> Path:
        """Return the plan of a split's shards, or of those of a subset."""
        return self.index_folder / f"{split}-plan{subset and f'-{subset}'}-of-{num_shards:05}"

    @cached_property
    def all_subset_lists(self) -> Path:
        """The folder of the lists of subsets that outputs were begun with."""
        return self.index_folder / "subsets"

    def subset_list(self, subset: str) -> Path:
        """Return the list of a subset, as its outputs were begun with it."""
        return self.all_subset_lists / f"{subset}.txt"

    @cached_property
    def all_subset_folders(self) -> Path:
        """The folder of the class folders of subsets."""
        return self.dataset / "subsets"

    def subset_folders(self, subset: str, split: str) -> Path:
        """Return the folder that holds a folder of images of a subset for each synset."""
        return self.all_subset_folders / subset / _CLASS_FOLDERS[split]

    @cached_property
    def manifests(self) -> Path:
        """The folder of all manifests."""
        return self.index_folder / "manifests"

    def manifest(self, output: Path) -> Path:
        """Return the manifest of an output below `dataset`, or of the CSV of boxes."""
        base = self.dataset if output.is_relative_to(self.dataset) else self.data_dir
        return self.manifests / f"{output.relative_to(base)}.csv"

    @cached_property
    def all_details(self) -> Path:
        """The folder of what was seen while outputs were made; see `storage.details`."""
        return self.index_folder / "details"

    def details(self, output: Path) -> Path:
        """Return what was seen while an output was made."""
        return self.all_details / self.manifest(output).relative_to(self.manifests)

    @cached_property
    def timings(self) -> Path:
        """The folder of the times at which outputs were made; see `timings`."""
        return self.index_folder / "timings"

    def linked_manifest_folders(self) -> list[Path]:
        """Return the symbolic links in place of folders of manifests and details; the build makes none."""
        # A file there has a suffix, and is read and replaced without following a link.
        entries = (path for folder in (self.manifests, self.all_details) for path in folder.glob("*"))
        return sorted(path for path in entries if path.is_symlink() and not path.suffix)

    @cached_property
    def report(self) -> Path:
        """The report on the build."""
        return self.report_on("")

    def report_on(self, selection: str) -> Path:
        """Return the report on a build of a subset or a size of its own; `selection` ends the names of its folders."""
        return self.dataset / f"report{selection}.html"

    @cached_property
    def verifications(self) -> Path:
        """The folder of all verifications."""
        return self.dataset / "verification"

    def verification(self, name: str) -> Path:
        """Return the file that says that the build was verified, by a name such as a date."""
        return self.verifications / f"{name}.json"

    def findings(self, name: str) -> Path:
        """Return the file that lists all findings of a verification that failed."""
        return self.verifications / f"{name}-damage.txt"

    def verification_run(self, name: str, run: str) -> Path:
        """Return the folder of what one run of a verification reads and computes."""
        return owned_path(self.verifications / name, run)

    @cached_property
    def build_record(self) -> Path:
        """What the build was begun with; see `build_record`."""
        return self.index_folder / "build.json"

    @cached_property
    def build_record_copy(self) -> Path:
        """A copy of the build's record, in case that is damaged."""
        return self.tables / "build.json"

    @cached_property
    def tables(self) -> Path:
        """The folder of the label tables that the build was begun with."""
        return self.index_folder / "tables"

    def table(self, name: str, digest: str) -> Path:
        """Return the copy of a label table that has this digest."""
        return self.tables / f"{digest[:16]}-{name}"

    def archive_record(self, archive: Archive) -> Path:
        """Return what is remembered of an archive that was verified."""
        return self.manifests / f"{archive.local_name}.json"

    @cached_property
    def locks(self) -> Path:
        """The folder of the files that are locked while an output is made."""
        return self.index_folder / "locks"

    def lock(self, output: Path) -> Path:
        """Return the file that is locked while an output is made."""
        relative = self.manifest(output).relative_to(self.manifests).with_suffix("")
        return self.locks / str(relative).replace("/", "+")
