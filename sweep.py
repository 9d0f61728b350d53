"""Many runs of train.py, one table: seeds, folds, training sizes, variants, grids, hyper-parameter search.

python sweep.py --config configs/sweeps/stsb_seeds.yaml --dry_run
python sweep.py --config configs/sweeps/stsb_seeds.yaml
python sweep.py --config configs/sweeps/low_resource_demo.yaml --jobs 2

The sweep's folder, runs/sweeps/<name>/, holds a run folder for each run, results.jsonl with a row for each, and table.md. Runs
that are done are skipped and one that was cut goes on, so after an interruption the same command goes on; so it does after
more seeds, values or trials were added.
"""

import signal
import sys

from sbert.cli import check_arguments, make_parser
from sbert.errors import one_line_errors
from sbert.sweeps.config import SweepConfig


def main(argv: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the runs first, as on Ctrl-C
    with one_line_errors("sweep.py"):
        check_arguments(argv)
        options = make_parser(SweepConfig, "sweep.py", __doc__)
        options.add_argument(
            "--dry_run", action="store_true", help="List the runs and their states; run none."
        )
        given = options.parse_args(argv)
        dry_run, _ = given.pop("dry_run"), given.pop("config")
        config = SweepConfig(**vars(options.instantiate(given)))
        from sbert.sweeps.search import (
            SearchSweep,
        )  # loads transformers: only once the options are known to be right
        from sbert.sweeps.sweep import Sweep

        sweep = SearchSweep(config) if config.search else Sweep(config)
        sweep.describe() if dry_run else sweep()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("sweep.py: interrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
