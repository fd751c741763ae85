"""The command itself. Its commands are imported when they are asked for, so that `--help` answers at once."""

import errno
import os
import sys
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from bench import __version__
from bench.errors import BenchbeatError, JobError, suggest
from cli.context import State
from cli.manners import add_manners, with_manners

#: command -> (module, attribute, one line for --help)
COMMANDS = {
    "run": ("cli.run", "run", "Submit a sweep, run it on this machine and print the results."),
    "up": ("cli.services", "up", "Run a worker and beat on this machine until Ctrl-C."),
    "down": ("cli.services", "down", "Stop what `up` or `run` left running on this machine."),
    "submit": ("cli.submit", "submit", "Queue a sweep for the workers."),
    "worker": ("cli.services", "worker", "Run one worker, for a supervisor."),
    "beat": ("cli.services", "beat", "Run beat, which runs schedules and looks after the queue."),
    "service": ("cli.service", "service", "Let launchd or systemd run a worker or beat."),
    "schedule": ("cli.schedules", "schedule", "Run sweeps by the clock."),
    "status": ("cli.jobs", "status", "Show batches, jobs, workers and queues."),
    "watch": ("cli.watch", "watch", "Show what goes on, live."),
    "cancel": ("cli.jobs", "cancel", "Cancel jobs or a batch."),
    "retry": ("cli.jobs", "retry", "Measure failed or cancelled jobs once more."),
    "rerun": ("cli.jobs", "rerun", "Measure jobs or a batch once more, in a new batch."),
    "history": ("cli.history", "history", "Show what was measured, and what strategies gain."),
    "compare": ("cli.compare", "compare", "Compare runs by a column, or two batches."),
    "regressions": ("cli.regressions", "regressions", "Show what became slower or faster."),
    "web": ("cli.web", "web", "Serve pages to browse the history."),
    "report": ("cli.report", "report", "Write what the history shows as a report."),
    "sql": ("cli.ask", "sql", "Ask the history in SQL, read-only."),
    "export": ("cli.export", "export", "Write what was measured to a file."),
    "import": ("cli.imports", "import_", "Take over results of llama-bench, lm-eval and make bench."),
    "models": ("cli.models", "models", "List, show and fetch models."),
    "workloads": ("cli.workloads", "workloads", "List, show and validate workloads."),
    "strategies": ("cli.workloads", "strategies", "List and show prompt strategies."),
    "completion": ("cli.completion", "completion", "Print what makes a shell complete commands and names."),
    "db": ("cli.database", "db", "Make, upgrade, check, thin and back up the database."),
    "doctor": ("cli.doctor", "doctor", "Look at this machine and say what is missing."),
}


class _ReaderGoneError(Exception):
    """The reader of our output (head, less) has seen enough."""


class LazyGroup(click.Group):
    """A group that imports a command's module when it is used; --help needs its one line only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order that people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return add_manners(command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Complete options and commands; Click would import every command for its help."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        found = ((name, line) for name, (_, _, line) in COMMANDS.items() if name.startswith(incomplete))
        return [CompletionItem(name, help=line) for name, line in found]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the near ones."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{suggest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Click would make exit code 1 of a reader that has seen enough."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ReaderGoneError from error
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@with_manners
@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="benchbeat %(version)s")
@click.option("--home", type=click.Path(), help="Folder of the history, caches and logs (BENCHBEAT_HOME).")
@click.pass_context
def benchbeat(ctx: click.Context, home: str | None) -> None:
    """Queue benchmark runs of models, run them on your machines, and ask the history in SQL.

    \b
    First steps:
      benchbeat run --model smollm2-135m --workload facts --items 12
      benchbeat history
      benchbeat sql "select prompt, expected, text from answers limit 5"

    Exit codes: 0 done, 1 failed, 2 bad input, 3 a slow-down stands (`regressions`), 4 nothing measured;
    130 after Ctrl-C.
    """
    state = ctx.ensure_object(State)
    state.override(home=home)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False
    ctx.call_on_close(state.close)


def prepare_output() -> None:
    """Let no terminal's encoding, and no closed output, be the end of a command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end
        else:
            stream.reconfigure(errors="replace")


def run(arguments: list[str] | None) -> int:
    """Run the command and return its exit code: errors in one sentence, a traceback with --verbose only."""
    given = sys.argv[1:] if arguments is None else arguments
    verbose = bool({"-v", "--verbose"} & set(given))
    try:
        result: Any = benchbeat.main(args=given, prog_name="benchbeat", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except _ReaderGoneError:
        _close_quietly()
        return 0
    except BenchbeatError as error:
        if verbose:
            _show_traceback()
        click.echo(f"Error: {error}", err=True)
        return 1 if isinstance(error, JobError) else 2
    except OSError as error:
        if verbose:
            _show_traceback()
        # Files that we write are named; what else a full disk can refuse is where the output goes.
        refused = error.filename or ("the output" if error.errno == errno.ENOSPC else "")
        where = f" {refused}" if refused else ""
        click.echo(f"Error: the system refused{where}: {error.strerror or error}", err=True)
        return 1
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        if verbose:
            _show_traceback()
        kind = type(error).__name__
        said = _without_passwords(str(error))
        click.echo(f"Error: {kind}: {said}\nThis is a fault in benchbeat; --verbose shows where.", err=True)
        return 1


def _show_traceback() -> None:
    import traceback

    click.echo(_without_passwords(traceback.format_exc()), err=True, nl=False)


def _without_passwords(text: str) -> str:
    from scheduler.logs import redactor

    return redactor()(text)


def _close_quietly() -> None:
    # Else the interpreter's own flush at exit complains once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
