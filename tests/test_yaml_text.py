"""Settings as YAML text."""

import yaml
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt

from sbert.yaml_text import dump_yaml


def test_numbers_with_a_range_are_numbers():
    content = {"seeds": [NonNegativeInt(3)], "warmup": NonNegativeFloat(0.1), "both": True, "é": 2}
    text = dump_yaml(content, default_flow_style=None)
    assert text == "seeds: [3]\nwarmup: 0.1\nboth: true\né: 2\n"
    assert yaml.safe_load(text) == {"seeds": [3], "warmup": 0.1, "both": True, "é": 2}
