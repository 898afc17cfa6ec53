"""Options in groups, so that a long help text can be read."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from curatekit.output import Packing
from curatekit.settings import parse_size

F = TypeVar("F", bound=Callable[..., Any])


class Grouped(click.Command):
    """A command whose help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading, in the order in which the options name them."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "heading", "Other"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class Option(click.Option):
    """An option that knows the heading it stands under."""

    def __init__(self, *args: Any, heading: str = "Other", **attributes: Any) -> None:  # noqa: ANN401 (click's own)
        super().__init__(*args, **attributes)
        self.heading = heading


class Parsed(click.ParamType[int]):
    """A value that one of our own functions reads; its `ValueError` says what is wrong."""

    def __init__(self, name: str, parse: Callable[[str], int]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the value."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def packing_options(group: Callable[..., Callable[[F], F]]) -> Callable[[F], F]:
    """Add the options that say how files of rows are written."""
    options = (
        group(
            "--shard-size",
            type=Parsed("size", parse_size),
            help="Most bytes of a file of rows, before it is packed: kept-00001.jsonl and so on.  "
            "[default: one file, however large]",
        ),
        group(
            "--compress",
            type=click.Choice(("none", "zst")),
            default="none",
            show_default=True,
            help="Pack the files of rows with Zstandard.",
        ),
        group(
            "--removed",
            type=click.Choice(("copy", "refer")),
            default="copy",
            show_default=True,
            help="Copy removed rows to removed.jsonl, or only tell where in the inputs they are.",
        ),
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def packing_of(options: dict[str, Any]) -> Packing:
    """Take those options out of the others."""
    names = {"shard_size": "shard_bytes", "compress": "compress", "removed": "removed"}
    return Packing(**{name: options.pop(option) for option, name in names.items()})
