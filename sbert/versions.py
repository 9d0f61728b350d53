"""The versions that numbers depend on."""

import platform
from importlib.metadata import version

PACKAGES = ("sbert", "torch", "transformers", "tokenizers", "numpy", "scipy")


def versions() -> dict[str, str]:
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
