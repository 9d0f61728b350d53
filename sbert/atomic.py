"""Files and folders that survive a crash: what is on disk is the old content or the new, whole.

`ResumableFile` is a result that is written unit by unit, so that an interrupted command resumes
where it stopped. While it grows it is `<path>.part`, beside it `<path>.part.json` with its settings
and the number of units written. A finished result has its settings in `<path>.json`.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath

from sbert.errors import InputError, require


class ResumableFile:
    """One result file. Only the main process holds one.

    Args:
        path: the finished file.
        settings: everything that the result depends on, as JSON types. A partial file that was
            started with other settings is refused.
        overwrite: replace a finished result and discard a partial one.

    Raises:
        InputError: the result exists; a partial one has other settings; the file is not writable.
    """

    def __init__(self, path: str | Path, settings: dict, overwrite: bool = False):
        self.path = Path(path)
        self.settings = json.loads(json.dumps(settings))
        self.part, self.state = Path(f"{path}.part"), Path(f"{path}.part.json")
        self.units, self.size, self.facts = 0, 0, {}
        require(not self.path.is_dir(), f"{path}: is a folder; name a file")
        free = overwrite or not self.path.exists()
        require(free, f"{path}: already exists; pass --overwrite, or name another output")
        try:
            if overwrite:  # first, so that an old partial file is never resumed
                self.state.unlink(missing_ok=True)
            if self.state.exists():
                self._resume(json.loads(self.state.read_bytes()))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            mode = "r+b" if self.units else "w+b"
            self.file = open(self.part, mode)  # noqa: SIM115 - closed by finish
            self.file.truncate(self.size)
            self.file.seek(self.size)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise InputError(f"{self.state}: is damaged; pass --overwrite") from None

    def _resume(self, state: dict) -> None:
        """Continue a partial file, if it has the same settings and is complete."""
        before = state["settings"]
        for name in sorted({*before, *self.settings}):
            if before.get(name) != self.settings.get(name):
                raise InputError(
                    f"{self.part}: was started with {name} {before.get(name)}, now "
                    f"{self.settings.get(name)}; resume with the original settings or pass "
                    "--overwrite"
                )
        if not self.part.exists() or self.part.stat().st_size < state["size"]:
            raise InputError(
                f"{self.part}: is shorter than the {state['units']} units recorded in "
                f"{self.state.name}; pass --overwrite"
            )
        self.units, self.size, self.facts = state["units"], state["size"], state["facts"]

    def append(self, data: bytes, facts: dict | None = None) -> None:
        """Append one unit, and wait until it is on disk. `facts`: what else to keep with it."""
        facts = facts or self.facts
        units, size = self.units + 1, self.size + len(data)
        state = {"units": units, "size": size, "facts": facts, "settings": self.settings}
        try:
            self.file.write(data)
            self.file.flush()
            os.fsync(self.file.fileno())
            write_whole(self.state, json.dumps(state).encode())
        except OSError as error:
            # otherwise Python would try to flush the rest again when it exits
            with contextlib.suppress(OSError):
                self.file.close()
            raise InputError(
                f"{self.part}: cannot be written: {error.strerror}; the first {self.units} units "
                "are kept: run the same command again to resume"
            ) from None
        self.units, self.size, self.facts = units, size, facts

    def read(self) -> bytes:
        """Everything appended so far."""
        self.file.seek(0)
        data = self.file.read(self.size)
        self.file.seek(self.size)
        return data

    def finish(self, data: bytes | None = None) -> None:
        """Move the result to its place: what was appended, or `data` instead."""
        settings_file = Path(f"{self.path}.json")
        settings = (json.dumps(self.settings, indent=2) + "\n").encode()
        try:
            self.file.close()
            new_result = self.part if data is None else _write_new(self.path, data)
            new_settings = _write_new(settings_file, settings)
            # first, so that a result never lies beside the settings of another
            self.path.unlink(missing_ok=True)
            os.replace(new_settings, settings_file)
            os.replace(new_result, self.path)
            self.state.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file such that a reader sees all of it or nothing, whenever the writer is killed."""
    os.replace(_write_new(path, data), path)


def _write_new(path: Path, data: bytes) -> Path:
    """Write the replacement of a file beside it, wait until it is on disk -> its path."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return new


def check_texts(texts: Iterable[str], path: str | Path) -> None:
    """Refuse texts that the output format cannot hold, before hours of work.

    Raises:
        InputError: a tab or a line break in a text, and a .tsv file.
    """
    if Path(path).suffix != ".tsv":
        return
    for text in texts:
        if re.search(r"[\t\n\r]", text):
            raise InputError(
                f"{path}: TSV cannot hold a text with a tab or a line break: {text[:80]!r}; "
                "write .jsonl"
            )


def encode_lines(rows: list[dict], path: str | Path, header: bool) -> bytes:
    """Rows with equal keys as lines of a .jsonl or .tsv file. `header`: start TSV with the keys."""
    if Path(path).suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    lines = []
    if header and rows:
        lines.append("\t".join(rows[0]) + "\n")
    for row in rows:
        cells = [f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        check_texts(cells, path)
        lines.append("\t".join(cells) + "\n")
    return "".join(lines).encode()


def write_records(path: Path, records: list[dict]) -> None:
    """Write records as the lines of a .jsonl file, whole or not at all."""
    write_whole(path, encode_lines(records, path, header=False))


def file_name(value: object) -> str:
    """A value as a part of a folder's name, without characters that are special to a shell."""
    text = str(value).replace("*", "x").replace("|", "")
    return re.sub(r"[^\w.+=-]+", "_", text).strip("_.")


def check_run_name(name: str) -> None:
    """Refuse a name whose folder is that of all runs, or lies outside it.

    Raises:
        InputError: an empty name, an absolute path, or one with "..".
    """
    path = PurePath(name)
    require(
        path.parts and not path.is_absolute() and ".." not in path.parts,
        f"name is {name!r}; it must name a folder below runs, such as stsb or stsb/lr3e-5",
    )


@contextlib.contextmanager
def locked(path: Path, refusal: str | None = None) -> Iterator[None]:
    """Wait until no other process makes a file, and keep others from making it.

    Args:
        refusal: why not to wait, and what to do.

    Raises:
        InputError: another process makes the file, with the refusal.
    """
    with open(f"{path}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except BlockingIOError:
            raise InputError(f"{path}: {refusal}") from None
        yield


def make_folder(folder: Path) -> None:
    """Make a folder of results, and those above it, where they are missing.

    Raises:
        InputError: a file is in its place, or it may not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be made: {error.strerror}") from None


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder, then put it in the place of the old one.

    A folder cannot be replaced in one step. Between two renames the old one is <folder>.old, and
    `recover_folder` restores it.
    """
    new = folder.with_name(folder.name + ".unfinished")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    write(new)
    for file in new.rglob("*"):
        sync(file)
    recover_folder(folder)
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """After a crash in `replace_folder`: restore the old folder, unless the new one is there."""
    old = folder.with_name(folder.name + ".old")
    if old.exists() and folder.exists():
        shutil.rmtree(old)
    elif old.exists():
        os.rename(old, folder)
