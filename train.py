"""Train a bi-encoder or a cross-encoder: one run from one YAML file.

python train.py --config configs/demo.yaml
python train.py --config configs/sbert/stsb.yaml --optim.lr 3e-5 --name stsb-lr3e-5
python train.py --config configs/cross/stsb.yaml
accelerate launch train.py --config configs/sbert/nli.yaml --resume

The run folder, runs/<name>/, holds config.yaml, metrics.jsonl and TensorBoard's events, last/ to resume from, and best/,
the model with the best score on the dev sets. Watch it with: tensorboard --logdir runs
"""

import sys

from sbert.cli import check_arguments, make_parser
from sbert.errors import one_line_errors
from sbert.training.config import TrainConfig


def main(argv: list[str]) -> None:
    with one_line_errors("train.py"):
        check_arguments(argv)
        options = make_parser(TrainConfig, "train.py", __doc__)
        options.add_argument("--resume", action="store_true", help="Resume from the run's last/.")
        options.add_argument(
            "--overwrite", action="store_true", help="Delete a run of the same name first."
        )
        given = options.parse_args(argv)
        resume, overwrite, _ = given.pop("resume"), given.pop("overwrite"), given.pop("config")
        text = options.dump(given, skip_validation=True)
        from sbert.training.run import (
            Run,
        )  # loads transformers: only once the options are known to be right

        Run(options.instantiate(given), given.as_dict(), text, resume, overwrite)()


if __name__ == "__main__":
    main(sys.argv[1:])
