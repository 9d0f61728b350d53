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

from sbert.config import check_unique, parser
from sbert.errors import one_line_errors
from sbert.search import Search
from sbert.sweep import Sweep
from sbert.sweep_config import SweepConfig


def main(argv: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the runs first, as on Ctrl-C
    with one_line_errors("sweep.py"):
        check_unique(argv)
        options = parser(SweepConfig, "sweep.py", __doc__)
        options.add_argument("--dry_run", action="store_true", help="List the runs, and run none.")
        given = options.parse_args(argv)
        dry_run, _ = given.pop("dry_run"), given.pop("config")
        config = SweepConfig(**vars(options.instantiate(given)))
        sweep = Search(config) if config.search else Sweep(config)
        sweep.describe() if dry_run else sweep()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("sweep.py: interrupted; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
