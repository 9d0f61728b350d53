"""The plan of a small sweep."""

import pytest
from support import copied, write_config

from sbert.sweeps.config import SweepConfig
from sbert.sweeps.plan import SweepPlan


@pytest.fixture
def plan(tmp_path, tiny_folder, pairs_file):
    """The plan of a sweep over the usual run, whose second training set has a limit.

    train: other training sets.
    """
    dataset = {"path": str(pairs_file), "range": [0, 5]}
    copy = dataset | {"path": str(copied(pairs_file))}
    held_out = {"dev": [copy | {"name": "dev"}], "test": [copy | {"name": "test"}]}

    def make(train: list[dict] | None = None, **options) -> SweepPlan:
        train = train or [dataset | {"name": "one"}, dataset | {"name": "two", "limit": 20}]
        base = write_config(tmp_path, tiny_folder, pairs_file, data={"train": train, **held_out})
        return SweepPlan(
            SweepConfig(
                **{"name": "mine", "base": str(base), "runs": str(tmp_path / "sweeps"), **options}
            )
        )

    return make
