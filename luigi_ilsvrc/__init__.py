"""Builds the ILSVRC2012 data set with Luigi: the tasks, by name; those of each format are made of its table entry."""

from typing import TYPE_CHECKING, Any

from luigi_ilsvrc.tasks.assistant import Assist
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV, ValidationBoxCSV
from luigi_ilsvrc.tasks.build_all import BuildAll
from luigi_ilsvrc.tasks.classes import ClassTable, LabelTableFiles
from luigi_ilsvrc.tasks.downloads import (
    DownloadBoundingBoxes,
    DownloadTrain,
    DownloadValidation,
    DownloadValidationBoxes,
)
from luigi_ilsvrc.tasks.extraction import (
    ExtractBoundingBoxes,
    ExtractTrainAhead,
    ExtractTrainPerSynset,
    SortValidation,
    TrainImages,
)
from luigi_ilsvrc.tasks.indexing import IndexTrain, IndexValidation
from luigi_ilsvrc.tasks.report import BuildReport
from luigi_ilsvrc.tasks.shards import PlanShards
from luigi_ilsvrc.tasks.side_files import tasks_of_formats
from luigi_ilsvrc.tasks.subset_images import SubsetImages
from luigi_ilsvrc.tasks.verification.build import VerifyBuild
from luigi_ilsvrc.tasks.verification.build_record import VerifyBuildRecord
from luigi_ilsvrc.tasks.verification.images import VerifyArchive, VerifySynset, VerifyValidation
from luigi_ilsvrc.tasks.verification.records import (
    VerifyBoxes,
    VerifyIndex,
    VerifyPlan,
    VerifyShard,
    VerifyTables,
    VerifyValidationBoxes,
)
from luigi_ilsvrc.tasks.verification.side_files import VerifySideFiles
from luigi_ilsvrc.tasks.verification.subset_images import VerifySubsetImages

__all__ = [
    "Assist",
    "BoundingBoxCSV",
    "BuildAll",
    "BuildReport",
    "ClassTable",
    "DownloadBoundingBoxes",
    "DownloadTrain",
    "DownloadValidation",
    "DownloadValidationBoxes",
    "ExtractBoundingBoxes",
    "ExtractTrainAhead",
    "ExtractTrainPerSynset",
    "IndexTrain",
    "IndexValidation",
    "LabelTableFiles",
    "PlanShards",
    "SortValidation",
    "SubsetImages",
    "TrainImages",
    "ValidationBoxCSV",
    "VerifyArchive",
    "VerifyBoxes",
    "VerifyBuild",
    "VerifyBuildRecord",
    "VerifyIndex",
    "VerifyPlan",
    "VerifyShard",
    "VerifySideFiles",
    "VerifySubsetImages",
    "VerifySynset",
    "VerifyTables",
    "VerifyValidation",
    "VerifyValidationBoxes",
]

_OF_FORMATS = tasks_of_formats()
globals().update(_OF_FORMATS)
__all__ += list(_OF_FORMATS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
