"""The PostgreSQL login of those who only ask: `benchbeat_reader`, which may read the views and nothing else.

Its password is derived from the owner's, so that every machine that can log in as the owner can log in as the
reader too, and no secret has to be kept anywhere.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from bench.errors import QueryError

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: name of the login, in the whole server (roles are not a database's own)
READER = "benchbeat_reader"

#: any number, the same for all: two upgrades of a database at once wait for each other
_ADVISORY_LOCK = 7_305_921_685
_URL = re.compile(
    r"^postgres(?:ql)?(?:\+\w+)?://(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?(?P<place>[^?]*)(?:\?(?P<query>.*))?$"
)
_ATTRIBUTES = "LOGIN NOINHERIT CONNECTION LIMIT 50"
_DEFAULTS = {"default_transaction_read_only": "on", "idle_in_transaction_session_timeout": "'15min'"}


@dataclass(frozen=True)
class _Url:
    user: str
    password: str | None
    #: host, port and database
    place: str
    query: list[tuple[str, str]]

    def joined(self) -> str:
        """The URL as the libpq wants it, with every special character quoted."""
        login = ":".join(quote(part, safe="") for part in (self.user, self.password) if part is not None)
        query = urlencode(self.query, quote_via=quote)
        return f"postgresql://{login}@{self.place}" + (f"?{query}" if query else "")


def reader_password(database_url: str) -> str | None:
    """Return the reader's password: scrypt of the owner's, which stands in the URL; None where none stands there."""
    url = _split(database_url)
    owner_password = dict(url.query).get("password") or url.password
    if not owner_password:
        return None
    derived = hashlib.scrypt(owner_password.encode(), salt=READER.encode(), n=2**14, r=8, p=1, dklen=32)
    return base64.urlsafe_b64encode(derived).decode().rstrip("=")


def reader_login_url(database_url: str, reader_url: str | None = None) -> str:
    """Return the libpq URL for asking: `reader_url` where one is given, else the owner's with the reader's login."""
    if reader_url is not None:
        return _split(reader_url).joined()
    url = _split(database_url)
    query = [(key, value) for key, value in url.query if key not in ("user", "password")]
    return _Url(READER, reader_password(database_url), url.place, query).joined()


def reader_advice() -> str:
    """Return the SQL that an administrator runs where benchbeat's own login may not create roles."""
    defaults = "".join(f"ALTER ROLE {READER} SET {name} = {value};\n" for name, value in _DEFAULTS.items())
    return (
        f"CREATE ROLE {READER} {_ATTRIBUTES} PASSWORD 'choose one';\n{defaults}"
        "-- then run `benchbeat db upgrade`, which lets it read the views, and set\n"
        f"-- BENCHBEAT_READER_URL=postgresql://{READER}:PASSWORD@HOST/DATABASE\n"
    )


def create_reader(connection: "Connection", database_url: str) -> None:
    """Create the reader's login where this login may, and let it read exactly the views, which must exist.

    Where the login may not create roles and there is no reader, nothing happens; see `reader_advice`.
    """
    from sqlalchemy import text

    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    if not _exists(connection):
        # Another database of the server may create the role at this very moment; then this try fails, and all is well.
        _try(connection, _creation(connection, reader_password(database_url)))
        if not _exists(connection):
            return
    else:
        _renew_password(connection, database_url)
    _grant(connection)


def _exists(connection: "Connection") -> bool:
    from sqlalchemy import text

    return (
        connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": READER}).first() is not None
    )


def _creation(connection: "Connection", password: str | None) -> list[str]:
    secret = f" PASSWORD {_verifier(connection, password)}" if password is not None else ""
    return [
        f"CREATE ROLE {READER} {_ATTRIBUTES}{secret}",
        *(f"ALTER ROLE {READER} SET {name} = {value}" for name, value in _DEFAULTS.items()),
    ]


def _renew_password(connection: "Connection", database_url: str) -> None:
    """Set the password anew where the owner's has changed since."""
    import psycopg

    password = reader_password(database_url)
    if password is None:
        return
    try:
        psycopg.connect(reader_login_url(database_url), connect_timeout=5).close()
    except psycopg.OperationalError:
        _try(connection, [f"ALTER ROLE {READER} PASSWORD {_verifier(connection, password)}"])


def _verifier(connection: "Connection", password: str) -> str:
    """Return the SQL string of the SCRAM verifier: the password itself never appears in the server's log."""
    driver: Any = connection.connection.driver_connection
    verifier: bytes = driver.pgconn.encrypt_password(password.encode(), READER.encode(), b"scram-sha-256")
    return f"'{verifier.decode()}'"


def _grant(connection: "Connection") -> None:
    from sqlalchemy import text

    from db.tables import metadata
    from db.views import VIEWS

    quote_name = connection.dialect.identifier_preparer.quote_identifier
    schema, database = connection.execute(text("SELECT current_schema(), current_database()")).one()
    relations = ", ".join(quote_name(name) for name in [*metadata.tables, *VIEWS])
    views = ", ".join(quote_name(name) for name in VIEWS)
    may_enter = (
        "SELECT has_schema_privilege(:r, :s, 'USAGE'), has_database_privilege(:r, current_database(), 'CONNECT')"
    )
    enters, connects = connection.execute(text(may_enter), {"r": READER, "s": schema}).one()
    if not enters:
        _try(connection, [f"GRANT USAGE ON SCHEMA {quote_name(schema)} TO {READER}"])
    if not connects:
        _try(connection, [f"GRANT CONNECT ON DATABASE {quote_name(database)} TO {READER}"])
    # A login that does not own them can't do this, and need not: their owner did it.
    _try(
        connection,
        [f"REVOKE ALL ON {relations} FROM PUBLIC, {READER}", f"GRANT SELECT ON {views} TO {READER}"],
    )


def _try(connection: "Connection", statements: list[str]) -> None:
    """Run statements that this login may lack the right to; then none of them has an effect."""
    from sqlalchemy.exc import DBAPIError

    try:
        with connection.begin_nested():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise


def _split(url: str) -> _Url:
    match = _URL.match(url)
    if match is None:
        raise QueryError("The database URL must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE")
    password = unquote(match["password"]) if match["password"] is not None else None
    return _Url(unquote(match["user"] or ""), password, match["place"], parse_qsl(match["query"] or ""))
