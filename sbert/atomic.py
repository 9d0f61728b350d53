"""Result files that are written unit by unit: an interrupted command goes on where it stood; a finished file is not touched.

While it grows, a result is `<path>.part`, beside it `<path>.part.json` with what it is made of and how many units are in it. A
finished result has `<path>.json`, with what it was made of.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from sbert.errors import InputError


class ResumableFile:
    """One result file; only the main process holds one.

    Args:
        settings: all that the result depends on, in JSON types. A part that was made under others is refused.
        overwrite: replace a finished result, and forget a part.

    Raises:
        InputError: the result is there; a part of other settings is; the place cannot be written.
    """

    def __init__(self, path: str | Path, settings: dict, overwrite: bool = False):
        self.path, self.settings = Path(path), json.loads(json.dumps(settings))
        self.part, self.state = Path(f"{path}.part"), Path(f"{path}.part.json")
        self.units, self.size, self.facts = 0, 0, {}
        if self.path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        if self.path.exists() and not overwrite:
            raise InputError(
                f"{path}: is there already; --overwrite replaces it, or name another output"
            )
        try:
            if overwrite:  # first: without it, what is left of a part cannot be taken for the whole
                self.state.unlink(missing_ok=True)
            if self.state.exists():
                self._go_on(json.loads(self.state.read_bytes()))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.part, "r+b" if self.units else "w+b")  # noqa: SIM115 - closed by finish
            self.file.truncate(self.size)
            self.file.seek(self.size)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None

    def _go_on(self, state: dict) -> None:
        """Take up a part, if it is of these settings."""
        found, anew = (
            state["settings"],
            f"begin anew: with --overwrite, or without {self.state.name}",
        )
        for name in sorted({*found, *self.settings}):
            if found.get(name) != self.settings.get(name):
                raise InputError(
                    f"{self.part}: was begun with {name} {found.get(name)}, now {self.settings.get(name)}; go on with the "
                    f"settings of then, or {anew}"
                )
        if not self.part.exists() or self.part.stat().st_size < state["size"]:
            raise InputError(
                f"{self.part}: lacks some of the {state['units']} units that {self.state.name} tells of; {anew}"
            )
        self.units, self.size, self.facts = state["units"], state["size"], state["facts"]

    def append(self, data: bytes, facts: dict | None = None) -> None:
        """Add one unit. When this returns, the unit is on the disk and will not be made again. `facts`: what else to remember."""
        try:
            self.file.write(data)
            self.file.flush()
            os.fsync(self.file.fileno())
            done = {
                "units": self.units + 1,
                "size": self.size + len(data),
                "facts": facts or self.facts,
            }
            write_whole(self.state, json.dumps(done | {"settings": self.settings}).encode())
            self.units, self.size, self.facts = done.values()
        except OSError as error:
            with contextlib.suppress(
                OSError
            ):  # what could not be written is not tried again when Python ends
                self.file.close()
            raise InputError(
                f"{self.part}: cannot be written: {error.strerror}; the {self.units} units before are kept, and the same command "
                "goes on from there"
            ) from None

    def read(self) -> bytes:
        """Everything appended so far."""
        self.file.seek(0)
        data = self.file.read(self.size)
        self.file.seek(self.size)
        return data

    def finish(self, data: bytes | None = None) -> None:
        """Put the result into its place: what was appended, or `data` instead."""
        facts = Path(f"{self.path}.json")
        try:
            self.file.close()
            result = self.part if data is None else _write_new(self.path, data)
            described = _write_new(facts, (json.dumps(self.settings, indent=2) + "\n").encode())
            self.path.unlink(
                missing_ok=True
            )  # so that at no time a result stands beside the settings of another
            os.replace(described, facts)
            os.replace(result, self.path)
            self.state.unlink(missing_ok=True)
            self.part.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of which a reader sees all or nothing, whenever the writer is killed."""
    os.replace(_write_new(path, data), path)


def _write_new(path: Path, data: bytes) -> Path:
    """Write what is to replace a file, beside it -> where it is, all of it on the disk."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return new


def check_texts(texts: Iterable[str], path: str | Path) -> None:
    """Refuse texts that the output cannot hold; called before the work, which may take hours."""
    if Path(path).suffix != ".tsv":
        return
    bad = next((text for text in texts if "\t" in text or "\n" in text or "\r" in text), None)
    if bad is not None:
        raise InputError(
            f"{path}: a text has a tab or a line break, which TSV cannot hold: {bad[:80]!r}; write .jsonl"
        )


def encode_lines(rows: list[dict], path: str | Path, header: bool) -> bytes:
    """Rows of like keys as lines of a .jsonl or .tsv file, the latter with a first line that names the columns."""
    if Path(path).suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    text = ["\t".join(rows[0]) + "\n"] if header and rows else []
    for row in rows:
        cells = [f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row.values()]
        check_texts(cells, path)
        text.append("\t".join(cells) + "\n")
    return "".join(text).encode()


def file_name(value: object) -> str:
    """A value as a part of a folder's name, without what a shell would take for its own."""
    return re.sub(r"[^\w.+=-]+", "_", str(value).replace("*", "x").replace("|", "")).strip("_.")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a new folder, then put it in the place of the old one.

    A folder cannot be replaced in one step: between two renames the old one bears the name <folder>.old, and
    `recover_folder` puts it back.
    """
    new, old = folder.with_name(folder.name + ".unfinished"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    write(new)
    for file in new.rglob("*"):
        _sync(file)
    recover_folder(folder)
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """After a crash inside `replace_folder`: put the old folder back, or remove it where the new one is in place."""
    old = folder.with_name(folder.name + ".old")
    if old.exists() and folder.exists():
        shutil.rmtree(old)
    elif old.exists():
        os.rename(old, folder)
