"""The page of every setting, made of `db.settings`."""

import re

from db.settings import HARMLESS, PREFIX, Settings
from docs.reference.fields import Documented, documented
from docs.reference.markdown import code, plain, table

_INTRODUCTION = """# Settings

Strongest first: the option of a command, the environment variable, `benchbeat.toml` in the home, the default. A key
of `benchbeat.toml` is the variable's name in lower case without `BENCHBEAT_`:

```toml
device = "mps"
quiet_wait_seconds = 120
```

A `benchbeat.toml` in the working folder may set the keys marked * only: a folder that somebody else wrote must not
choose where commands, passwords and results go. A variable `BENCHBEAT_...` that is no setting is warned of; an unknown
key in a file is refused. An empty variable counts as none.

"""

#: what a comment says of the default, which has a column of its own, and where the code goes on
_ELSEWHERE = re.compile(r"; (None |see `)(?:[^.]|\.\w)*")

#: what a setting without a default is, where its comment can't say it in a word
_WHERE_NONE = {
    "home": "the platform's user data folder",
    "database_url": "`history.db` in the home",
    "reader_url": "derived",
    "broker_url": "an embedded Redis",
    "machine": "a UUID",
    "models_dir": "any folder with SQLite, else `models/` in the home",
    "data_dir": "`data/` in the home",
    "lock_dir": "the machine's own",
    "allow_task_code": "true with SQLite, else false",
}


def settings_page() -> str:
    """Return the page."""
    rows = (_row(each) for each in documented(Settings))
    return _INTRODUCTION + table(("variable", "default", "may be", ""), rows) + "\n"


def _row(field: Documented) -> tuple[str, str, str, str]:
    variable = code(PREFIX + field.name.upper()) + (" *" if field.name in HARMLESS else "")
    default = code(field.default) if field.default else _WHERE_NONE.get(field.name, "none")
    meaning = _ELSEWHERE.sub("", field.meaning)
    return variable, default, plain(field.kind), plain(meaning)
