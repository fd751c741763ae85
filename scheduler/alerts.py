"""Telling people about a schedule's batch: one message, when it has ended and what it made suspected is decided.

To whatever apprise reaches (mail, chat, webhooks), and to a command of the user's own. A message is claimed in the
database before it is sent, so any number of beats send it once; who dies while sending leaves it to another one, which
may send it again.
"""

import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, NamedTuple

from bench.errors import InputError, UnavailableError
from bench.level_changes import title as changes_in_words
from bench.level_changes import told
from db.alerts import MAX_TRIES, BatchStory, batches_to_tell, claim_alert, end_alert, is_stale, postpone_alert, story_of
from db.engine import Database
from scheduler.schedules import said

log = logging.getLogger("benchbeat.alerts")

_COMMAND_SECONDS = 60.0
_APPRISE_SECONDS = 60.0
#: doubled with each try
_PAUSE_SECONDS = 30.0
_FAILURES_NAMED = 10
_MISSING = "apprise is not installed: pip install 'benchbeat[alerts]', or set alert_command"


@dataclass(frozen=True)
class Message:
    """What is told about a batch."""

    title: str
    body: str
    #: for the command: kind and numbers, by the name of its variable
    facts: Mapping[str, str] = field(default_factory=dict)


class Sent(NamedTuple):
    """What became of sending a message one way."""

    #: whether it reached anybody
    arrived: bool
    #: why it did not reach everybody
    error: str | None = None


Send = Callable[[Message], Sent]


def message_of(story: BatchStory) -> Message | None:
    """Return the message about a batch, or None where all is well: changes, failures, nothing measured."""
    slower = [each for each in story.changes if each.is_slower]
    parts = [changes_in_words(story.changes)] if story.changes else []
    if story.failed:
        parts.append(f"{story.failed} failed")
    if not story.done:
        parts.append("nothing measured")
    if not parts:
        return None
    lines = [
        f"{story.name}, batch {story.batch_id} of {said(story.created_at, 'UTC')}: "
        f"{story.jobs} jobs, {story.done} done, {story.failed} failed, {story.cancelled} cancelled"
    ]
    for each in story.changes:
        first, *others = told(each)
        lines += ["", first, *(f"  {line}" for line in others)]
    if story.failures:
        lines += ["", "Failed:"]
        lines += [f"  {count} x {reason}" for reason, count in story.failures[:_FAILURES_NAMED]]
        if len(story.failures) > _FAILURES_NAMED:
            lines.append(f"  and {len(story.failures) - _FAILURES_NAMED} other reasons")
    if story.disturbed:
        lines += ["", f"Disturbed runs, left out of all this: {story.disturbed}"]
        lines += [f"  {reason}" for reason in story.disturbances]
    kind = "regression" if slower else "failure" if story.failed or not story.done else "improvement"
    facts = {"KIND": kind, "SCHEDULE": story.schedule, "BATCH": str(story.batch_id)}
    facts |= {"SLOWER": str(len(slower)), "FASTER": str(len(story.changes) - len(slower))}
    facts |= {"DONE": str(story.done), "FAILED": str(story.failed)}
    return Message(f"benchbeat {story.schedule}: {', '.join(parts)}", "\n".join(lines), facts)


def senders(urls: str | None, command: str | None) -> list[Send]:
    """Return what sends messages to apprise's targets (URLs with spaces between) and to a command; may be none.

    Raises InputError for a target that apprise does not know and a command that can't be read.
    """
    found: list[Send] = []
    if urls and urls.split():
        found.append(_apprise(urls.split()))
    if command and command.strip():
        found.append(_command(command))
    return found


def _apprise(urls: list[str]) -> Send:
    try:
        import apprise
    except ImportError:
        raise InputError(_MISSING, where="BENCHBEAT_ALERT_URLS") from None
    # Its own lines name targets with their tokens.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    targets = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not targets.add(url):
            scheme = url.partition("://")[0] if "://" in url else "no scheme"  # the rest may hold a password
            raise InputError(f"target {number} ({scheme}) is none that apprise knows", where="BENCHBEAT_ALERT_URLS")

    def send(message: Message) -> Sent:
        outcome: Any = targets.notify(title=message.title, body=message.body, timeout=_APPRISE_SECONDS)
        if outcome:
            return Sent(True)
        failed = [str(each.name) for each in outcome if not each]
        return Sent(outcome.success_count > 0, f"not delivered by {', '.join(failed) or 'apprise'}")

    return send


def _command(command: str) -> Send:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"can't be read ({error})", where="BENCHBEAT_ALERT_COMMAND") from None

    if not words or shutil.which(words[0]) is None:
        raise InputError(f"there is no command {words[0] if words else ''!r}", where="BENCHBEAT_ALERT_COMMAND")

    def send(message: Message) -> Sent:
        facts = {f"BENCHBEAT_ALERT_{name}": value for name, value in message.facts.items()}
        environment = {**_harmless(os.environ), **facts, "BENCHBEAT_ALERT_TITLE": message.title}
        try:
            done = subprocess.run(
                words,
                input=message.body + "\n",
                env=environment,
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            return Sent(False, f"there is no command {words[0]}")
        except OSError as error:
            return Sent(False, f"{words[0]} can't be run ({error.strerror})")
        except subprocess.TimeoutExpired:
            return Sent(False, f"{words[0]} took longer than {_COMMAND_SECONDS:g} s")
        if done.returncode == 0:
            return Sent(True)
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return Sent(False, f"{words[0]} ended with exit code {done.returncode}{': ' if last else ''}{''.join(last)}")

    return send


def _harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without passwords that a mail's sender has no business with."""
    return {
        name: value for name, value in environment.items() if not name.startswith("BENCHBEAT_") and name != "HF_TOKEN"
    }


class Told(NamedTuple):
    """A message that was sent, or could not be."""

    batch_id: int
    title: str
    arrived: bool
    #: why it did not reach everybody
    error: str | None


def tell(database: Database, ways: list[Send]) -> list[Told]:
    """Send what is due. Raises UnavailableError where the database is away."""
    told_of: list[Told] = []
    with database.read() as connection:
        due = batches_to_tell(connection)
    for batch_id in due:
        with database.write() as connection:
            message = None if is_stale(connection, batch_id) else message_of(story_of(connection, batch_id))
            if message is None:
                end_alert(connection, batch_id, "quiet")
                continue
            tries = claim_alert(connection, batch_id, message.title, message.body)
        if tries is None:
            continue
        outcomes = [way(message) for way in ways]
        error = "; ".join(each.error for each in outcomes if each.error) or None
        # Once it reached somebody it is not sent again: he would get it twice.
        arrived = any(each.arrived for each in outcomes)
        with database.write() as connection:
            if arrived or tries >= MAX_TRIES:
                end_alert(connection, batch_id, "sent" if arrived else "failed", error)
            else:
                postpone_alert(connection, batch_id, _PAUSE_SECONDS * 2**tries, error)
        told_of.append(Told(batch_id, message.title, arrived, error))
    return told_of


class Teller:
    """Sends in a thread of its own what is due: a slow mail server must not hold up beat."""

    def __init__(self, database: Database, ways: list[Send]) -> None:
        self._database, self._ways = database, ways
        self._thread: Thread | None = None

    def tick(self) -> None:
        """Begin to send what is due, unless that is going on."""
        if not self._ways or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = Thread(target=self._tell, name="alerts", daemon=True)
        self._thread.start()

    def _tell(self) -> None:
        try:
            for each in tell(self._database, self._ways):
                if each.arrived:
                    log.info("batch %d: told (%s)", each.batch_id, each.title)
                if each.error:
                    log.warning("batch %d: a message did not arrive (%s)", each.batch_id, each.error)
        except UnavailableError as error:
            log.warning("%s", error)
        except Exception:  # a message that can't be sent must not end beat
            log.exception("a message could not be sent")
