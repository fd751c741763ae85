"""`benchbeat doctor`: look at this machine and say what is missing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.context import State
from cli.options import output_option

if TYPE_CHECKING:
    from worker.checkup import Finding

_COLOURS = {"ok": "green", "note": "yellow", "missing": "red", "failed": "red", "skipped": "yellow"}


@click.command(short_help="Look at this machine and say what is missing.")
@click.option("--verify", is_flag=True, help="See that the device computes, counts and releases as it should.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="The device to verify; the worker's own where left out.",
)
@output_option
@click.pass_obj
def doctor(state: State, verify: bool, device: str | None, output: str) -> int:
    """Look at this machine, starting nothing and changing nothing. Exit code 1 where something needed is missing.

    With --verify the device itself is tried, in half a minute; exit code 1 where it fails.

    \b
    Examples:
      benchbeat doctor
      benchbeat doctor -o json
      benchbeat doctor --verify --device mps
    """
    from worker.checkup import look

    if device is not None and not verify:
        raise click.UsageError("--device goes with --verify")
    if verify:
        return _verify(device or state.settings.device, output)
    findings = _print_findings(look(state.settings), output)
    missing = [finding.what for finding in findings if finding.state == "missing"]
    if missing:
        click.echo(f"\nMissing: {', '.join(missing)}. Then type `benchbeat doctor` again.", err=True)
        return 1
    if output == "table":
        click.echo("\nReady: benchbeat run --model smollm2-135m --workload facts --items 12", err=True)
    return 0


def _verify(device: str, output: str) -> int:
    from bench.errors import InputError, UnavailableError
    from worker.checkup import verify

    try:
        findings = _print_findings(verify(device), output)
    except UnavailableError as error:
        raise InputError(str(error), where="--device") from None
    failed = [finding.what for finding in findings if finding.state == "failed"]
    if failed:
        click.echo(f"\nFailed: {', '.join(failed)}. Please report this, with what is above.", err=True)
        return 1
    if output == "table":
        click.echo("\nThis device can be measured on.", err=True)
    return 0


def _print_findings(found: "Iterator[Finding]", output: str) -> "list[Finding]":
    """Print findings, each as it comes; other formats than a table when all are there."""
    from report.printing import print_rows

    findings = []
    for finding in found:
        findings.append(finding)
        if output == "table":
            mark = click.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
            click.echo(f"{mark}{finding.what:<16}{finding.found}")
            if finding.remedy:
                click.echo(f"{'':<24}-> {finding.remedy}")
    if output != "table":
        rows = [[f.what, f.state, f.found, f.remedy] for f in findings]
        print_rows(["what", "state", "found", "remedy"], rows, output)
    return findings
