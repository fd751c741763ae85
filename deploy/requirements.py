"""Print what pyproject.toml requires, with the extras that are named: `python deploy/requirements.py worker`.

For the Dockerfile, whose layer of packages must not change with every line of code.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [line for name in sys.argv[1:] for line in project["optional-dependencies"][name]]
sys.stdout.write("".join(f"{line}\n" for line in [*project["dependencies"], *extras]))
