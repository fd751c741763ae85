"""`benchbeat doctor`: look at this machine and say what is missing."""

import click

from cli.context import State
from cli.options import output_option

_COLOURS = {"ok": "green", "note": "yellow", "missing": "red"}


@click.command(short_help="Look at this machine and say what is missing.")
@output_option
@click.pass_obj
def doctor(state: State, output: str) -> int:
    """Look at this machine, starting nothing and changing nothing. Exit code 1 where something needed is missing.

    \b
    Examples:
      benchbeat doctor
      benchbeat doctor -o json
    """
    from report.printing import print_rows
    from worker.checkup import look

    findings = []
    for finding in look(state.settings):
        findings.append(finding)
        if output == "table":
            mark = click.style(f"{finding.state:<8}", fg=_COLOURS[finding.state])
            click.echo(f"{mark}{finding.what:<14}{finding.found}")
            if finding.remedy:
                click.echo(f"{'':<22}-> {finding.remedy}")
    if output != "table":
        print_rows(
            ["what", "state", "found", "remedy"], [[f.what, f.state, f.found, f.remedy] for f in findings], output
        )
    missing = [finding.what for finding in findings if finding.state == "missing"]
    if missing:
        click.echo(f"\nMissing: {', '.join(missing)}. Then type `benchbeat doctor` again.", err=True)
        return 1
    if output == "table":
        click.echo("\nReady: benchbeat run --model smollm2-135m --workload facts --items 12", err=True)
    return 0
