"""`curatekit restore`: the inputs of a run, rebuilt from its folder."""

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  curatekit restore out -o inputs    all inputs, unpacked
"""


@click.command(epilog=_EPILOG)
@click.argument("out", type=click.Path(readable=False))
@click.option(
    "--out",
    "-o",
    "to",
    metavar="FOLDER",
    required=True,
    type=click.Path(readable=False),
    help="Folder to make; one that is there must be empty. It appears whole, or not at all.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def restore(out: str, *, to: str, quiet: bool) -> None:
    """Rebuild the inputs of a run from its folder OUT.

    Files of lines come back byte for byte, which is checked by their hashes; arrays and objects as
    equal JSON. They stand in FOLDER by their paths below the folder that they have in common, and
    without .gz or .zst; standard input is `stdin.jsonl`.
    """
    from rich.text import Text  # noqa: PLC0415 (help does without the rest of this)

    from curatekit.cli.terminal import Meter, clean, console, say  # noqa: PLC0415
    from curatekit.restore import restore as rebuild  # noqa: PLC0415

    with Meter(quiet=quiet) as meter:
        files = rebuild(Path(out), Path(to), progress=meter)
    if not quiet:
        for path in files:
            say(console(), Text(clean(str(path))))
