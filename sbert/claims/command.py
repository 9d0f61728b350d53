"""One call of claims.py: runs to records, records to a table."""

import json
from collections.abc import Sequence
from pathlib import Path

from sbert.atomic import write_records
from sbert.claims.config import ClaimsConfig
from sbert.claims.judge import Judge
from sbert.claims.table import check_page, claims_table, describe, write_page
from sbert.claims.verdicts import NOT_RUN
from sbert.errors import InputError, require

SHOWN = 3  # runs that are named, of those that are missing


def judge_claims(config: ClaimsConfig, strict: bool) -> str:
    """Judge the claims, write their records and their page, and print the table.

    strict: refuse claims that are not run yet. Returns the table.

    Raises:
        InputError: an experiment, a figure or a page that is not there.
    """
    if config.page:
        check_page(Path(config.page))
    path = Path(config.records)
    earlier = read_records(path)
    judged = Judge(config).records()
    records = [earlier_or_new(earlier.get(record["claim"]), record) for record in judged]
    waiting = [record["claim"] for record in records if record["verdict"] == NOT_RUN]
    require(not (strict and waiting), f"not run yet: {'; '.join(waiting)}")
    write_records(path, records)
    table = claims_table(records, config)
    if config.page:
        write_page(Path(config.page), table)
    print(f"{table}\n")
    for line in missing_runs(records, config):
        print(line)
    kept = sum(old is not new for old, new in zip(judged, records, strict=True))
    note = f"; the records of {kept} are kept, whose runs are not here" if kept else ""
    written = ", ".join(filter(None, [config.records, config.page]))
    print(f"{describe(records)}{note}; written to {written}")
    return table


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
            records[record["claim"]] = record
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}, line {number}: no record of a claim; delete it") from None
    return records


def earlier_or_new(earlier: dict | None, record: dict) -> dict:
    """The earlier record of a claim that is not run here, if it is of the same figures, contrasts
    and commands; the claim's words are the new ones."""
    if (
        earlier is None
        or record["verdict"] != NOT_RUN
        or earlier["verdict"] == NOT_RUN
        or earlier["definition"] != record["definition"]
    ):
        return record
    words = {name: record[name] for name in ("paper", "published", "note")}
    return earlier | words
