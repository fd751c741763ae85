"""`python -P -m worker.readability`: say how easily texts read, until the end of input.

A JSON list [text, language, structure] comes on a line of standard input; what `bench.readability` says of it, a number
or null, goes to a line of standard output.
"""

import json
import os
import sys

from bench.readability import readability

#: nltk, which textstat imports, imports them where they are there, for what is not asked of it: a second and 150 MB
_IDLE = ("scipy", "sklearn")


def main() -> int:
    """Answer line by line."""
    # What a library prints must not look like an answer.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for name in _IDLE:
        # Python takes None for a module that is not there.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    for line in sys.stdin.buffer:
        text, language, structure = json.loads(line)
        answer = json.dumps(readability(text, language, structure)).encode() + b"\n"
        try:
            os.write(answers, answer)
        except BrokenPipeError:
            break  # the session is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
