"""Many runs of train.py, one table: seeds, folds, training sizes, variants, grids, search.

python sweep.py --config configs/sweeps/stsb_seeds.yaml --dry_run
python sweep.py --config configs/sweeps/stsb_seeds.yaml
python sweep.py --config configs/sweeps/low_resource_demo.yaml --jobs 2

The sweep's folder, runs/sweeps/<name>/, holds a run folder for each run, results.jsonl with one
row per run, and table.md. Finished runs are skipped and an interrupted one is resumed: run the same
command again after an interruption, or after adding seeds or values, or to a search trials.
"""

import signal
import sys

from sbert.cli import parse_command
from sbert.errors import one_line_errors
from sbert.sweeps.config import SweepConfig

FLAGS = {
    "dry_run": "List the runs and their states, and check their data and model folders; run none."
}


def main(argv: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the runs first, as on Ctrl-C
    with one_line_errors("sweep.py"):
        command = parse_command("sweep.py", SweepConfig, __doc__, argv, FLAGS)
        # loads transformers: after the options were checked
        from sbert.sweeps.search import SearchSweep
        from sbert.sweeps.sweep import Sweep

        sweep_class = SearchSweep if command.config.search else Sweep
        sweep = sweep_class(command.config)
        if command.flags["dry_run"]:
            sweep.describe()
        else:
            sweep.run()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("sweep.py: interrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
