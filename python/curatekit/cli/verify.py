"""`curatekit verify`: a run folder recounted and rehashed."""

from pathlib import Path

import click

_SHOWN = 20
_EPILOG = """\b
Examples:
  curatekit verify out

\b
Exit codes:
  0    all is as it should be
  2    OUT is not the output of a run
  3    something is not as it should be
"""


@click.command(epilog=_EPILOG)
@click.argument("out", type=click.Path(readable=False))
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but what is wrong.")
def verify(out: str, *, quiet: bool) -> None:
    """Recount and rehash everything in the folder OUT of a run.

    Sizes and hashes are compared with the manifest, rows are counted in the files, the columns, the
    decisions and the report, and rows and gaps are put together again to see that they are the
    inputs that were read. None of this uses code that wrote the folder, and no input is opened.
    """
    from rich.filesize import decimal  # noqa: PLC0415 (help does without the rest of this)
    from rich.text import Text  # noqa: PLC0415

    from curatekit.cli.terminal import Meter, clean, console, say  # noqa: PLC0415
    from curatekit.errors import DataError  # noqa: PLC0415
    from curatekit.verify import verify as check  # noqa: PLC0415

    with Meter(quiet=quiet) as meter:
        found = check(Path(out), meter)
    to = console()
    for problem in found.problems[:_SHOWN]:
        say(to, Text(clean(str(problem)).replace("\n", " ")))
    if found.total:
        if found.total > _SHOWN:
            say(to, Text(f"and {found.total - _SHOWN:,} more"))
        raise DataError(out, None, f"{found.total:,} problem{'s' * (found.total != 1)} found")
    if not quiet:
        amount = f"{found.files:,} files, {decimal(found.bytes)}, {found.hashes:,} hashes"
        say(to, Text(f"{found.rows:,} rows, {amount}: all is as it should be"))
