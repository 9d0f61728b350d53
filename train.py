"""Train a bi-encoder or a cross-encoder: one run from one YAML file.

python train.py --config configs/demo.yaml
python train.py --config configs/sbert/stsb.yaml --optim.lr 3e-5 --name stsb-lr3e-5
python train.py --config configs/cross/stsb.yaml
accelerate launch train.py --config configs/sbert/nli.yaml --resume

The run folder, runs/<name>/, holds config.yaml, metrics.jsonl and TensorBoard's events, last/ to go on from, and best/,
the model that was best on the dev sets. Watch it with: tensorboard --logdir runs
"""

import sys

from sbert.config import TrainConfig, check_unique, parser
from sbert.errors import one_line_errors
from sbert.run import Run


def main(argv: list[str]) -> None:
    with one_line_errors("train.py"):
        check_unique(argv)
        options = parser(TrainConfig, "train.py", __doc__)
        options.add_argument("--resume", action="store_true", help="Go on from the run's last/.")
        options.add_argument("--overwrite", action="store_true", help="Delete a run of the same name first.")
        given = options.parse_args(argv)
        resume, overwrite, _ = given.pop("resume"), given.pop("overwrite"), given.pop("config")
        text = options.dump(given, skip_validation=True)
        Run(options.instantiate(given), given.as_dict(), text, resume, overwrite)()


if __name__ == "__main__":
    main(sys.argv[1:])
