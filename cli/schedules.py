"""`benchbeat schedule`: sweeps by the clock."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import State
from cli.options import output_option, read_sweep_options, say_sweep, sweep_options
from cli.patience import patience

if TYPE_CHECKING:
    from bench.schedules import Timing

_NAME = click.argument("schedule_name", metavar="NAME")


@click.group()
def schedule() -> None:
    """Run sweeps by the clock.

    \b
    Example:
      benchbeat schedule add nightly sweep.toml --cron "0 2 * * *"
    """


@schedule.command("add", short_help="Let a sweep run by the clock.")
@_NAME
@sweep_options
@click.option("--cron", metavar="LINE", help='When: "0 2 * * *", or @hourly, @daily ...')
@click.option("--every", metavar="DURATION", help="45m, 6h, 1d: counted from now.")
@click.option("--timezone", metavar="ZONE", help="Zone of --cron (default: this machine's).")
@click.option("--misfire", default="latest", show_default=True, help="Missed due times: skip, latest or all.")
@click.option("--grace", metavar="DURATION", help="How late a missed one may still run (default 6h).")
@click.option("--overlap", default="skip", show_default=True, help="While its last batch runs: skip or queue.")
@click.pass_obj
def add(
    state: State,
    /,
    schedule_name: str,
    sweep: Path | None,
    cron: str | None,
    every: str | None,
    timezone: str | None,
    misfire: str,
    grace: str | None,
    overlap: str,
    **options: Any,
) -> None:
    """Store SWEEP (or the options) under NAME; beat makes a batch of it whenever it is due.

    The sweep is expanded and stored now, with all its data: its file may go, and every batch asks the same.

    \b
    Examples:
      benchbeat schedule add nightly sweep.toml --cron "0 2 * * *"
      benchbeat schedule add late sweep.toml --cron @daily --timezone Asia/Tokyo
      benchbeat schedule add often sweep.toml --every 45m --misfire skip
      benchbeat schedule add s --model smollm2-135m --workload speed --every 6h
    """
    from bench.schedules import MISFIRES, OVERLAPS
    from report.schedules import print_next
    from scheduler.schedules import add_schedule, check_schedule_name

    check_schedule_name(schedule_name)
    timing = _timing(state, cron, every, timezone)
    checked = {"misfire": _one_of(misfire, MISFIRES, "--misfire"), "overlap": _one_of(overlap, OVERLAPS, "--overlap")}
    grace_seconds = _grace(grace, misfire)
    if sweep is not None and options["machine"]:
        # Where a sweep runs is the schedule's business too.
        options["overrides"] = (*options["overrides"], *(f"machine={each}" for each in options["machine"]))
        options["machine"] = ()
    if sweep is None and options["name"] is None:
        options["name"] = schedule_name
    expanded = read_sweep_options(state, sweep, options)
    from cli.submit import check_can_be_had

    check_can_be_had(expanded, state)
    machines = {spec.machine for spec in expanded.specs}
    with patience(state, "storing the schedule"):
        add_schedule(
            state.database,
            schedule_name,
            expanded,
            timing,
            **checked,  # type: ignore[arg-type]
            grace_seconds=grace_seconds,
            machine=machines.pop() if len(machines) == 1 else None,
            source=sweep.read_text(encoding="utf-8") if sweep is not None else None,
        )
    state.say(f"stored {say_sweep(expanded)}")
    print_next(state.database, schedule_name)
    _say_if_nothing_ticks(state)


@schedule.command("list", short_help="Show every schedule and when it is due next.")
@output_option
@click.pass_obj
def list_(state: State, output: str) -> None:
    """Show every schedule with its next three due times, in its own time zone and in yours.

    \b
    Example:
      benchbeat schedule list
    """
    from report.schedules import print_schedules

    print_schedules(state.database, output)


@schedule.command("show", short_help="Show a schedule's firings and their batches.")
@_NAME
@click.option("--jobs", is_flag=True, help="The jobs of its sweep instead.")
@click.option("--sweep", is_flag=True, help="The text of its sweep file instead.")
@output_option
@click.pass_obj
def show(state: State, schedule_name: str, jobs: bool, sweep: bool, output: str) -> None:
    """Show when a schedule is due, and what became of its last due times.

    \b
    Examples:
      benchbeat schedule show nightly
      benchbeat schedule show nightly --sweep > sweep.toml
    """
    from report.schedules import print_schedule

    if sweep:
        click.echo(_source(state, schedule_name), nl=False)
    elif jobs:
        from report.jobs import print_specs
        from scheduler.schedules import specs_of

        print_specs(specs_of(state.database, schedule_name), output)
    else:
        print_schedule(state.database, schedule_name, output)


@schedule.command("pause", short_help="Let a schedule rest.")
@_NAME
@click.pass_obj
def pause(state: State, schedule_name: str) -> None:
    """Let a schedule rest until it is resumed; batches that run go on.

    \b
    Example:
      benchbeat schedule pause nightly
    """
    from db.schedules import change_schedule, schedule_by_name

    with state.database.write() as connection:
        found = schedule_by_name(connection, schedule_name)
        change_schedule(connection, found.id, paused=True)
    click.echo(f"{schedule_name} was paused already" if found.paused else f"{schedule_name} is paused")


@schedule.command("resume", short_help="Let a paused schedule go on.")
@_NAME
@click.pass_obj
def resume(state: State, schedule_name: str) -> None:
    """Let a paused schedule go on with its next due time; what was due meanwhile is not made up for.

    \b
    Example:
      benchbeat schedule resume nightly
    """
    from db.schedules import schedule_by_name
    from report.schedules import print_next
    from scheduler.schedules import resume_schedule

    with state.database.write() as connection:
        found = schedule_by_name(connection, schedule_name)
        if found.paused:
            resume_schedule(connection, found)
    if not found.paused:
        click.echo(f"{schedule_name} is not paused")
        return
    print_next(state.database, schedule_name)
    _say_if_nothing_ticks(state)


@schedule.command("remove", short_help="Remove a schedule; its batches stay.")
@_NAME
@click.pass_obj
def remove(state: State, schedule_name: str) -> None:
    """Remove a schedule and the list of its firings. Its batches and what they measured stay.

    \b
    Example:
      benchbeat schedule remove nightly
    """
    from db.schedules import remove_schedule, schedule_by_name

    with state.database.write() as connection:
        remove_schedule(connection, schedule_by_name(connection, schedule_name).id)
    click.echo(f"{schedule_name} is removed; its batches stay")


@schedule.command("trigger", short_help="Make a schedule's batch now.")
@_NAME
@click.option("--wait", is_flag=True, help="Show progress until the batch has ended.")
@output_option
@click.pass_obj
def trigger(state: State, schedule_name: str, wait: bool, output: str) -> int:
    """Queue a schedule's sweep now, whatever the clock says, also where it is paused.

    \b
    Example:
      benchbeat schedule trigger nightly --wait
    """
    from cli.submit import print_batch_facts, ring
    from scheduler.schedules import trigger_schedule

    batch_id = trigger_schedule(state.database, schedule_name)
    if output == "table":
        click.echo(f"batch {batch_id}: queued by {schedule_name}")
    else:
        print_batch_facts(state.database, batch_id, output)
    ring(state)
    if not wait:
        return 0
    from cli.follow import conclude, follow

    return conclude(follow(state.database, batch_id, quiet=state.quiet))


def _timing(state: State, cron: str | None, every: str | None, timezone: str | None) -> "Timing":
    from bench.errors import InputError
    from bench.schedules import read_cron, read_every

    if (cron is None) == (every is None):
        raise InputError('give either --cron "0 2 * * *" or --every 45m')
    from db.schedules import seconds_now

    if every is not None:
        if timezone is not None:
            raise InputError("goes with --cron; an interval is the same everywhere", where="--timezone")
        with state.database.read() as connection:
            return read_every(every, where="--every", anchor=seconds_now(connection))
    assert cron is not None
    with state.database.read() as connection:
        moment = seconds_now(connection)
    return read_cron(cron, timezone or _local_timezone(), where="--cron", moment=moment)


def _local_timezone() -> str:
    from tzlocal import get_localzone_name

    return get_localzone_name() or "UTC"


def _grace(text: str | None, misfire: str) -> float:
    from bench.errors import InputError
    from bench.schedules import MAX_GRACE_SECONDS, read_duration

    if text is not None and misfire == "skip":
        raise InputError("goes with --misfire latest or all; skip never makes up for a missed time", where="--grace")
    seconds = read_duration(text or "6h", where="--grace")
    if seconds > MAX_GRACE_SECONDS:
        raise InputError(f"can be 31d at most (it is {text!r})", where="--grace")
    return seconds


def _one_of(value: str, known: tuple[str, ...], where: str) -> str:
    from bench.errors import InputError, suggest

    if value not in known:
        raise InputError(f"unknown {where[2:]} {value!r}{suggest(value, known)}", where=where)
    return value


def _source(state: State, name: str) -> str:
    from bench.errors import InputError
    from db.schedules import schedule_by_name, source_of_schedule

    with state.database.read() as connection:
        text = source_of_schedule(connection, schedule_by_name(connection, name).id)
    if text is None:
        raise InputError(f"the schedule {name!r} was made from options, not from a file; --jobs shows its jobs")
    return text


def _say_if_nothing_ticks(state: State) -> None:
    from db.schedules import live_beats
    from report.printing import print_text
    from report.schedules import NO_BEAT

    with state.database.read() as connection:
        beats = live_beats(connection)
    if not beats and not state.quiet:
        print_text(f"Note: {NO_BEAT}", err=True)
