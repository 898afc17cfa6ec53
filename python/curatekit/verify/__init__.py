"""A run folder, recounted and rehashed.

Nothing here shares code with what wrote the folder: its format is read anew, rows are counted in
the files and not only in the columns, and rows and gaps are put together again, so that the hash of
each input proves that no row was lost, changed or moved. Files are read from front to end; columns
are mapped. No input is opened.
"""

from pathlib import Path

from curatekit.verify.columns import Columns, check_columns, fit_together
from curatekit.verify.files import document, read_manifest, rehash
from curatekit.verify.findings import Findings, Problem, Progress, Verified
from curatekit.verify.form import (
    FIGURES,
    FIGURES_SCHEMA,
    RECIPE_SCHEMA,
    REPORT,
    REPORT_SCHEMA,
)
from curatekit.verify.recount import Recount
from curatekit.verify.reports import check_report

__all__ = ["Problem", "Verified", "verify"]


def verify(folder: Path, progress: Progress | None = None) -> Verified:
    """Recount and rehash all of a folder.

    Args:
        folder: What a run left.
        progress: Called as files are hashed and rows are counted.

    Returns:
        All that is not as it should be, and how much was looked at.

    Raises:
        CurateError: The folder is none that a run left.
        OSError: It cannot be read.
    """
    found = Findings()
    manifest = read_manifest(folder, found)
    if manifest is None:
        return found.verified(0)
    hashes = rehash(folder, manifest, found, progress)
    columns = Columns(folder, manifest, found)
    report = document(folder, REPORT, (REPORT_SCHEMA, RECIPE_SCHEMA), manifest, found)
    if (folder / FIGURES).exists() or REPORT in manifest.files:
        document(folder, FIGURES, (FIGURES_SCHEMA,), manifest, found)
    if columns.are_whole and fit_together(manifest, found):
        check_columns(manifest, columns, report, found)
        recount = Recount(folder, manifest, columns, found)
        recount.walk(progress)
        if report:
            check_report(manifest, columns, recount.decisions, report, hashes=hashes, found=found)
    for name in sorted(set(manifest.files) - columns.known):
        found.add(name, "is none that a run writes")
    return found.verified(manifest.rows + manifest.generated)
