"""Removing what a verification found damaged, so that the next build makes it again."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.findings import Finding, Kind
from luigi_ilsvrc.storage.manifest import ManifestError, read_manifest, write_manifest


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    removed : int
        How many damaged outputs and manifests it removed.
    restored : int
        How many damaged manifests it wrote again from their second copy.
    left : int
        How many files are left that no task makes.
    """

    removed: int
    restored: int
    left: int

    def __str__(self) -> str:
        text = (
            f"{self.removed} damaged outputs and manifests are removed, {self.restored} manifests are restored: run "
            "BuildAll, which makes just those again"
        )
        if self.left:
            text += f"; {self.left} files that no task makes are left for you to restore or remove"
        return text


def repair(findings: Sequence[Finding], paths: DataSetPaths) -> Repair:
    """Remove damaged outputs with their manifests, and restore manifests that have a whole copy.

    An output that holds a file which no task makes is kept, with its manifest. A damaged archive is moved to its
    quarantine path, from which it is removed once it was downloaded again.
    """
    restored = sum(map(_restore_manifest, {finding.path for finding in findings if _is_manifest(finding, paths)}))
    extra = [finding.path for finding in findings if finding.kind is Kind.EXTRA]
    outputs = {path for finding in findings if not _holds(finding, extra) for path in finding.to_remove}
    quarantine = {paths.archive(archive): paths.quarantine(archive) for archive in ARCHIVES}
    removed = sum(_remove(output, quarantine.get(output)) for output in sorted(outputs))
    left = sum(
        not finding.made_by and finding.kind is not Kind.LEFTOVER and finding.path.exists() for finding in findings
    )
    return Repair(removed, restored, left)


def _holds(finding: Finding, extra: Sequence[Path]) -> bool:
    """Tell whether what has to be removed holds a file that no task makes."""
    return any(path.is_relative_to(output) for output in finding.to_remove for path in extra)


def _is_manifest(finding: Finding, paths: DataSetPaths) -> bool:
    return finding.path.is_relative_to(paths.manifests) and finding.path.is_file()


def _restore_manifest(path: Path) -> bool:
    try:
        read_manifest(path)
    except ManifestError as error:
        if error.intact is not None:
            write_manifest(error.intact, path)
            return True
    return False


def _remove(path: Path, quarantine: Path | None) -> bool:
    """Remove an output; of a link, the link alone; an archive goes into quarantine. Tell whether it was there."""
    if quarantine is not None and path.exists():
        path.rename(quarantine)
    elif path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        return False
    return True
