"""The entry point: small, so that Ctrl-C is understood also while the command is still being imported."""

import atexit
import gc
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code; 130 after Ctrl-C."""
    # Else the interpreter collects once more at its end, of what is let go in any case.
    atexit.register(gc.disable)
    try:
        # Modules stay: collecting while they are loaded finds nothing, again and again.
        gc.disable()
        from cli.root import prepare_output, run

        gc.enable()
        prepare_output()
        code = run(arguments)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - Click may not be there yet
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
