"""One call of claims.py: runs to records, records to a table."""

import json
from collections.abc import Sequence
from pathlib import Path

from sbert.atomic import write_records
from sbert.claims.config import ClaimsConfig
from sbert.claims.judge import Judge
from sbert.claims.table import check_page, claims_table, describe, write_page
from sbert.errors import require

SHOWN = 3  # runs that are named, of those that are missing

PARTS = {"claim", "verdict", "figures", "contrasts", "definition"}  # of a record, what is relied on


def judge_claims(config: ClaimsConfig, strict: bool) -> str:
    """Judge the claims, write their records and their page, and print the table.

    strict: refuse runs that are missing. Returns the table.

    Raises:
        InputError: an experiment, a figure, a folder or a page that is not there; earlier records
            of claims that are none of the configuration's.
    """
    check_places(config)
    earlier = earlier_records(config)
    judged = Judge(config).records()
    records = [earlier_or_new(earlier.get(record["claim"]), record) for record in judged]
    missing = missing_runs(records, config)
    require(not (strict and missing), "; ".join(missing))
    if config.records:
        write_records(Path(config.records), records)
    table = claims_table(records, config)
    if config.page:
        write_page(Path(config.page), table)
    print(f"{table}\n")
    for line in missing:
        print(line)
    kept = [new["claim"] for old, new in zip(judged, records, strict=True) if old is not new]
    if kept:
        print(f"kept in {config.records}, of more runs than are here: {'; '.join(kept)}")
    written = ", ".join(filter(None, [config.records, config.page]))
    print(f"{describe(records)}{f'; written to {written}' if written else ''}")
    return table


def check_places(config: ClaimsConfig) -> None:
    """Refuse folders and a page that are not there, before minutes of work."""
    for root in config.roots:
        require(Path(root).is_dir(), f"roots: {root}: no such folder")
    if config.page:
        check_page(Path(config.page))
    if config.records:
        path = Path(config.records)
        require(path.parent.is_dir(), f"records {path}: no folder {path.parent}; make it")
        require(not path.is_dir(), f"records {path}: is a folder; name a file")


def earlier_records(config: ClaimsConfig) -> dict[str, dict]:
    """The records of an earlier call by their claims; none is of a claim that is no more.

    Raises:
        InputError: one is, and would be lost.
    """
    if config.records is None:
        return {}
    earlier = read_records(Path(config.records))
    lost = earlier.keys() - {claim.claim for claim in config.claims}
    require(
        not lost,
        f"{config.records} has records of claims that the configuration does not name, and that "
        f"would be lost: {'; '.join(sorted(lost))}; delete their lines, or name another file",
    )
    return earlier


def missing_runs(records: Sequence[dict], config: ClaimsConfig) -> list[str]:
    """A line for each experiment that is not whole: its missing runs, and its command."""
    missing: dict[str, dict[str, None]] = {}  # ordered sets of labels by experiment
    for record in records:
        for name, figure in record["figures"].items():
            experiment = record["definition"]["figures"][name]["experiment"]
            missing.setdefault(experiment, {}).update(dict.fromkeys(figure["missing"]))
    lines = []
    for name, runs in missing.items():
        if runs:
            first = f"{', '.join(list(runs)[:SHOWN])}{', ...' if len(runs) > SHOWN else ''}"
            lines.append(f"{name}: {len(runs)} not run yet ({first}): {config.experiments[name]}")
    return lines


def read_records(path: Path) -> dict[str, dict]:
    """The records of an earlier call by their claims; none without the file.

    Raises:
        InputError: a line that is no record.
    """
    if not path.exists():
        return {}
    records = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        whole = isinstance(record, dict) and record.keys() >= PARTS
        require(whole, f"{path}, line {number}: no record of a claim; delete it")
        records[record["claim"]] = record
    return records


def earlier_or_new(earlier: dict | None, record: dict) -> dict:
    """The earlier record of a claim, if it is of the same figures, contrasts and commands, and one
    of its figures is of more runs; the claim's words are the new ones."""
    if earlier is None or earlier["definition"] != record["definition"]:
        return record
    before, now = _run_numbers(earlier), _run_numbers(record)
    if all(before[name] <= now[name] for name in before):
        return record
    words = {name: record[name] for name in ("paper", "published", "note")}
    return earlier | words


def _run_numbers(record: dict) -> dict[str, int]:
    """By the names of the figures."""
    return {name: len(figure["runs"]) for name, figure in record["figures"].items()}
