"""Claims of papers, judged by finished runs: a table with a verdict for each.

python claims.py --config configs/claims.yaml
python claims.py --config configs/claims.yaml --roots '[., ../other-checkout]'
python claims.py --config configs/claims.yaml --page null --records /tmp/claims.jsonl

An experiment is a command, of which the runs that are done are read: result.json, and the scores of
every row in scores.safetensors. A figure is the mean of a metric over the seeds of one row of its
table. A claim says which figures are above others, or about the same. Its verdict is that of the
95 % interval of their differences, with rows and seeds resampled jointly: holds, does not hold, or
cannot be told, with the smallest effect that could have been seen. The table is printed and stands
in the page between <!-- claims --> and <!-- /claims -->; the records have the figures of each run.
"""

import sys

from sbert.claims.config import ClaimsConfig
from sbert.cli import parse_command
from sbert.errors import one_line_errors

FLAGS = {"strict": "End with an error, and write nothing, if a run of a claim is missing."}


def main(argv: list[str]) -> None:
    with one_line_errors("claims.py"):
        command = parse_command("claims.py", ClaimsConfig, __doc__, argv, FLAGS)
        # loads transformers: after the options were checked
        from sbert.claims.command import judge_claims

        judge_claims(command.config, **command.flags)


if __name__ == "__main__":
    main(sys.argv[1:])
