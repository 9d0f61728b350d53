"""What `make package` checks in an installed copy: all modules import, the corpus is there."""

import importlib
from pathlib import Path

import sbert

SOURCE = Path(__file__).parents[1] / "sbert"
installed = Path(sbert.__file__).parent
assert installed.resolve() != SOURCE.resolve(), f"{installed} is the source, not an installed copy"

names = []
for path in sorted(SOURCE.rglob("*.py")):
    module = path.relative_to(SOURCE.parent).with_suffix("")
    name = ".".join(module.parts).removesuffix(".__init__")
    assert Path(importlib.import_module(name).__file__).is_relative_to(installed), name
    names.append(name)

data = [path for path in (SOURCE / "data" / "demo").iterdir() if path.is_file()]
missing = [path.name for path in data if not (installed / "data" / "demo" / path.name).exists()]
assert data, "the built-in corpus is missing"
assert not missing, f"the built-in corpus lacks {missing}"
print(f"{installed}: {len(names)} modules, {len(data)} files of the built-in corpus")
