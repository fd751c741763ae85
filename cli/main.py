"""The entry point: small, so that Ctrl-C is understood also while the command is still being imported."""

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code; 130 after Ctrl-C."""
    try:
        from cli.root import prepare_output, run

        prepare_output()
        code = run(arguments)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - Click may not be there yet
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
