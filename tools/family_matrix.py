"""Families of models x what must hold for them, as a Markdown table.

    python tools/family_matrix.py [NAME ...]

Builds a tiny random model of every family, or of those named, and runs the checks of
`family_checks.py` and `family_classifier_checks.py`. Takes a minute.
"""

import argparse
import os
import tempfile
import textwrap
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import transformers
from families import FAMILIES, Family
from family_checks import (
    ENCODER_CHECKS,
    Check,
    equals_sentence_transformers,
    has_sentence_transformers,
)
from family_classifier_checks import CLASSIFIER_CHECKS, pairs_equal_sentence_transformers

NEEDS_SENTENCE_TRANSFORMERS = (equals_sentence_transformers, pairs_equal_sentence_transformers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="families; default: all")
    names = parser.parse_args().names
    known = {family.name: family for family in FAMILIES}
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown family {unknown[0]}; known: {', '.join(known)}")
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print_matrix([known[name] for name in names or known])


def print_matrix(families: list[Family]) -> None:
    """Print the table, and below it why a family fails a check."""
    checks = ENCODER_CHECKS | CLASSIFIER_CHECKS
    notes: list[str] = []
    print("| family |", " | ".join(checks), "|")
    print("| --- |", " | ".join(":-:" for _ in checks), "|")
    for family in families:
        cells = [run_check(name, check, family, notes) for name, check in checks.items()]
        print("|", " | ".join([family.name, *cells]), "|", flush=True)
    print()
    for note in notes:
        print(f"- {note}")


def run_check(name: str, check: Check, family: Family, notes: list[str]) -> str:
    """One cell: yes, no, or - where the check does not apply. Adds a note where it is no."""
    if family.why_absent:
        return "-"
    exists = family.encodes if name in ENCODER_CHECKS else family.has_classifier
    if not exists:
        return "-"
    if check in NEEDS_SENTENCE_TRANSFORMERS and not has_sentence_transformers():
        return "-"
    try:
        with tempfile.TemporaryDirectory() as root:
            check(family, Path(root))
    except Exception as error:  # a table of what fails must survive every failure
        message = textwrap.shorten(f"{type(error).__name__}: {error}", 160)
        notes.append(f"{family.name}, {name}: {message}")
        return "no"
    return "yes"


if __name__ == "__main__":
    main()
