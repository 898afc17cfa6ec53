"""The command `curatekit`: one module a command, and here what they share.

A command raises; only `main` turns an error into a message and an exit code.
"""

import atexit
import gc
import os
import re
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import StringIO, TextIOWrapper
from types import FrameType
from typing import NoReturn, TextIO

import click

from curatekit import __version__
from curatekit.errors import (
    ContractError,
    CurateError,
    DataError,
    Mistake,
    RecipeError,
    StepError,
)

USAGE, INPUT, OUTPUT, STEP, BRAKE = 2, 3, 4, 5, 6
BUG, INTERRUPTED, TERMINATED = 70, 130, 143

_COMMANDS = (
    "dedup",
    "diff",
    "explain",
    "new-plugin",
    "plugins",
    "recipe",
    "restore",
    "run",
    "show",
    "verify",
)
_EPILOG = """\b
Examples:
  curatekit dedup data/*.jsonl -o out   write what is worth keeping to out/
  curatekit run recipe.toml             carry out a recipe of several steps
  curatekit show out                    look at what was removed, and why
  curatekit plugins                     list what is installed beside it

\b
Completion, for this shell (bash; also zsh_source, fish_source):
  eval "$(_CURATEKIT_COMPLETE=bash_source curatekit)"
"""


class _Commands(click.Group):
    """Imports a command when it is asked for: each brings what others do without."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (its signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            return _load(cmd_name)
        self.commands = {name: _load(name) for name in _COMMANDS}  # one of them may be meant
        return super().get_command(ctx, cmd_name)


def _load(name: str) -> click.Command:
    module = name.replace("-", "_")
    command: click.Command = getattr(import_module(f"curatekit.cli.{module}"), module)
    return command


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def curatekit() -> None:
    """Turn a pile of fine-tuning data into a dataset worth training on.

    Every row that is not in the result has a reason, which you can look up.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    0 done · 1 done, and `--strict` found quarantined rows · 2 usage · 3 an input is unreadable or
    changed · 4 no space or I/O error · 5 a step failed · 6 a brake stopped the run · 70 a bug · 130
    interrupted · 143 terminated
    """
    atexit.register(gc.freeze)  # or the interpreter looks at every object once more as it ends
    _fill_standard()
    sys.stdout, sys.stderr = sys.stdout or StringIO(), sys.stderr or StringIO()  # closed by `>&-`
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as `nohup` leaves it
        signal.signal(signal.SIGHUP, _terminate)
    _open_many()
    try:
        code = _invoke(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        code = 0  # the reader has seen enough
    except BaseException as error:  # noqa: BLE001 (a person gets a line, and no traceback)
        code = _explain(error)
    _drain(sys.stdout)
    _drain(sys.stderr)
    return code


def _fill_standard() -> None:
    """Put something where standard streams are closed, or a file of ours would go there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 (its signature)


def _open_many() -> None:
    """Allow as many open files as the system lets us have: every input is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _invoke(arguments: Sequence[str]) -> int:
    if "_CURATEKIT_COMPLETE" in os.environ:
        curatekit.main(list(arguments), prog_name="curatekit")
    with curatekit.make_context("curatekit", list(arguments)) as context:
        return curatekit.invoke(context) or 0


def _explain(error: BaseException) -> int:
    """Print what went wrong, and tell the exit code for it."""
    hint = None
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return int(error.code or 0)
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return USAGE
        case click.UsageError():
            message, hint = _usage(error)
            code = USAGE
        case CurateError():
            return _explain_ours(error)
        case OSError():
            problem = error.strerror or ""
            problem = f"{problem[:1].lower()}{problem[1:]}"
            message = f"{error.filename or 'standard output'}: {problem}"
            code = INPUT if isinstance(error, FileNotFoundError) else OUTPUT
        case KeyboardInterrupt():
            message, code = "interrupted", INTERRUPTED
        case _Terminated():
            message, code = "terminated", TERMINATED
        case _:
            message = f"{type(error).__name__}: {error}"
            hint = "this is a bug in curatekit; please report it"
            code = BUG
    _complain([Mistake(message, hint or _note(error))])
    return code


def _note(error: BaseException) -> str | None:
    """What was added to an error on its way: how to go on after it."""
    return next(iter(getattr(error, "__notes__", ())), None)


def _explain_ours(error: CurateError) -> int:
    from curatekit.brakes import BrakeError  # noqa: PLC0415 (slow, and help does without)

    if isinstance(error, RecipeError):
        _complain(error.mistakes)
    else:
        _complain([Mistake(error.message, error.hint or _note(error))])
    codes = {DataError: INPUT, BrakeError: BRAKE, StepError: STEP, ContractError: STEP}
    return next((codes[kind] for kind in codes if isinstance(error, kind)), USAGE)


def _complain(mistakes: Sequence[Mistake]) -> None:
    from curatekit.cli.terminal import complain  # noqa: PLC0415 (slow, and help does without)

    with suppress(OSError):
        for message, hint in mistakes:
            complain(message, hint)


def _usage(error: click.UsageError) -> tuple[str, str | None]:
    message, *meant = re.split(r"\.? \(?Did you mean ", error.format_message().replace("'", "`"))
    command = error.ctx.command_path if error.ctx else "curatekit"
    hint = f"did you mean {meant[0].rstrip('?)')}?" if meant else f"see `{command} --help`"
    return message[:1].lower() + message[1:].rstrip("."), hint


def _drain(stream: TextIO) -> None:
    """Write what is left, or give it up: Python would complain about it as it ends."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


class _Terminated(BaseException):
    """The process was asked to end; like Ctrl-C, it ends once nothing is left behind."""
