"""`web`: pages to browse the history."""

import signal
from typing import Any

import click

from cli.context import State, log_to_stderr


@click.command(short_help="Serve pages to browse the history.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--token", help="What readers must know. BENCHBEAT_WEB_TOKEN says it unseen: options show in lists of processes."
)
@click.option("--open", "opens", is_flag=True, help="Open them in the browser.")
@click.pass_obj
def web(state: State, host: str, port: int, token: str | None, opens: bool) -> None:
    """Serve the report and pages to browse the history, read-only, until Ctrl-C.

    On this machine alone unless a token is set; docs/web.md says how others read.

    \b
    Examples:
      benchbeat web
      benchbeat web --port 0 --open
    """
    from bench.errors import UnavailableError

    try:
        from report.web.app import Site
        from report.web.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("flask", "jinja2", "waitress", "werkzeug"):
            raise
        raise UnavailableError("The pages need Flask; run `pip install 'benchbeat[report]'`") from error
    from report.web.guard import Door, check_token
    from report.web.reading import Reading

    state.override(web_token=token)
    settings = state.settings
    secret = settings.web_token.get_secret_value() if settings.web_token else None
    check_token(host, secret)
    log_to_stderr(state)
    reading = Reading(settings.database, settings.reader)
    site = Site(state.database, reading, Door(secret))
    with reading.ask("SELECT 1") as rows:  # says in words what is wrong with the reader's login
        list(rows)
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}

    def ready(address: str) -> None:
        click.echo(address)
        state.say("Ctrl-C ends it.")
        if opens:
            click.launch(address)

    try:
        serve(site, host, port, ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        reading.close()


def _end(*_: Any) -> None:
    raise SystemExit(0)
