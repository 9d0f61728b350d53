"""The one exception for bad input, and how a command reports it."""

import contextlib
import sys
from collections.abc import Iterator


class InputError(ValueError):
    """Input that a person can mend: the message is one line that names the place, the value and what would be right."""


@contextlib.contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """End the process with exit status 2 and one line on stderr where the block raises `InputError`."""
    try:
        yield
    except InputError as error:
        line = " ".join(str(error).split())
        print(f"{program}: error: {line}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None
