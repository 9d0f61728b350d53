"""The one exception for invalid user input, and how a command reports it."""

import contextlib
import sys
from collections.abc import Iterator


class InputError(ValueError):
    """Invalid user input. The message is one line: the place, the value, what would be right."""


def require(condition: object, message: str) -> None:
    """Raise `InputError(message)` unless the condition holds."""
    if not condition:
        raise InputError(message)


@contextlib.contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """On an `InputError` in the block, print it on one line of stderr and exit with status 2."""
    try:
        yield
    except InputError as error:
        line = " ".join(str(error).split())
        print(f"{program}: error: {line}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
