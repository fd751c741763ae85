import threading
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import create_engine

from bench.errors import QueryError
from db.reader_role import READER, create_reader, reader_advice, reader_login_url, reader_password
from db.readonly import select
from db.schema import upgrade
from db.tables import metadata
from db.views import VIEWS
from tests.services import PostgreSQLServer, running_postgresql

#: with every character that has a meaning in a URL, but '@', which SQLAlchemy wants quoted
PASSWORD = "s3c/r:e?t%#&= ü"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    """Run a PostgreSQL that asks everybody but its superuser for a password."""
    with running_postgresql() as postgresql:
        with psycopg.connect(host=str(postgresql.socket_folder), user="postgres", autocommit=True) as connection:
            rules = connection.execute("SHOW hba_file").fetchone()
            assert rules is not None
            with open(rules[0], "w") as file:
                file.write("local all postgres trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield postgresql


@pytest.fixture
def owner_url(server: PostgreSQLServer) -> Iterator[str]:
    """Give the URL of an empty database whose owner may create roles."""
    yield from _database(server, "CREATEROLE")


@pytest.fixture
def plain_owner_url(server: PostgreSQLServer) -> Iterator[str]:
    """Give the URL of an empty database whose owner may not create roles."""
    yield from _database(server, "NOCREATEROLE")


def _database(server: PostgreSQLServer, attribute: str) -> Iterator[str]:
    with psycopg.connect(host=str(server.socket_folder), user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE owner LOGIN {attribute} PASSWORD '{PASSWORD}'".encode())
        connection.execute("CREATE DATABASE bench OWNER owner")
        yield _url(server, "owner", PASSWORD)
        connection.execute("DROP DATABASE bench WITH (FORCE)")
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone():
            connection.execute(f"DROP ROLE {READER}".encode())
        connection.execute("DROP ROLE owner")


def _url(server: PostgreSQLServer, user: str, password: str) -> str:
    return f"postgresql+psycopg://{user}:{quote(password, safe='')}@/bench?host={quote(str(server.socket_folder))}"


def as_superuser(server: PostgreSQLServer, statement: str) -> None:
    with psycopg.connect(host=str(server.socket_folder), user="postgres", dbname="bench", autocommit=True) as superuser:
        superuser.execute(statement.encode())


def ask(url: str, statement: str, reader_url: str | None = None) -> list[tuple[object, ...]]:
    with select(url, statement, reader_url=reader_url) as rows:
        return list(rows)


# Words


def test_the_password_follows_from_the_owners_and_nothing_else() -> None:
    first = reader_password("postgresql+psycopg://owner:secret@host/bench")
    assert first is not None
    assert len(first) == 43
    assert first == reader_password("postgresql://else:secret@127.0.0.1:5433/other?sslmode=require")
    assert first == reader_password("postgresql://owner@host/bench?password=secret")
    assert first != reader_password("postgresql://owner:Secret@host/bench")
    assert "secret" not in first
    assert reader_password("postgresql://owner@host/bench") is None
    assert reader_password("postgresql://host/bench") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+psycopg://owner@host:5433/bench", f"postgresql://{READER}@host:5433/bench"),
        ("postgres://host/bench", f"postgresql://{READER}@host/bench"),
        ("postgresql:///bench?host=%2Ftmp%2Fa&user=owner", f"postgresql://{READER}@/bench?host=%2Ftmp%2Fa"),
        ("postgresql://o@[::1]:5432/b?sslmode=require", f"postgresql://{READER}@[::1]:5432/b?sslmode=require"),
    ],
)
def test_the_readers_url_is_the_owners_with_another_login(url: str, expected: str) -> None:
    assert reader_login_url(url) == expected


def test_a_readers_url_that_is_given_is_taken_with_its_special_characters_quoted() -> None:
    given = "postgresql+psycopg://me:a/b?c@host/bench?sslmode=require"
    assert reader_login_url("postgresql://owner:x@host/bench", given) == (
        "postgresql://me:a%2Fb%3Fc@host/bench?sslmode=require"
    )


def test_the_owners_password_is_not_in_the_readers_url() -> None:
    login = reader_login_url("postgresql://owner:secret@host/bench?user=owner&password=hidden")
    assert "secret" not in login
    assert "hidden" not in login
    assert str(reader_password("postgresql://owner:hidden@host/bench")) in login


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(QueryError, match="postgresql://"):
        reader_login_url("mysql://owner@host/bench")


# The role


def test_an_upgrade_makes_a_login_that_reads_the_views_and_nothing_else(
    server: PostgreSQLServer, owner_url: str
) -> None:
    upgrade(owner_url)
    for view in VIEWS:
        assert ask(owner_url, f"select * from {view}") == []
    with psycopg.connect(reader_login_url(owner_url), autocommit=True) as reader:
        for table in metadata.tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"SELECT 1 FROM {table}".encode())
        reader.execute("SET default_transaction_read_only = off")
        for view in VIEWS:
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                reader.execute(f"DELETE FROM {view}".encode())
    with psycopg.connect(reader_login_url(owner_url), autocommit=True) as reader:
        assert reader.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit FROM pg_roles"
        assert reader.execute(f"{rights} WHERE rolname = '{READER}'".encode()).fetchone() == (False,) * 6


def test_a_wrong_password_or_none_does_not_log_in(server: PostgreSQLServer, owner_url: str) -> None:
    upgrade(owner_url)
    for wrong in (_url(server, "owner", "guess"), owner_url.replace(quote(PASSWORD, safe=""), "")):
        with pytest.raises(QueryError, match=r"benchbeat_reader.*`benchbeat db upgrade`.*BENCHBEAT_READER_URL"):
            ask(wrong, "select 1")


def test_the_password_does_not_reach_the_servers_log(server: PostgreSQLServer, owner_url: str) -> None:
    as_superuser(server, "ALTER DATABASE bench SET log_statement = 'all'")
    upgrade(owner_url)
    log = (server.socket_folder / "log").read_text()
    assert f"CREATE ROLE {READER}" in log
    assert "SCRAM-SHA-256$" in log
    assert str(reader_password(owner_url)) not in log
    assert PASSWORD not in log


def test_a_second_upgrade_changes_nothing_and_a_new_password_is_followed(
    server: PostgreSQLServer, owner_url: str
) -> None:
    upgrade(owner_url)
    upgrade(owner_url)
    assert ask(owner_url, "select count(*) from history") == [(0,)]
    as_superuser(server, "ALTER ROLE owner PASSWORD 'new'")
    renewed = _url(server, "owner", "new")
    with pytest.raises(QueryError, match="db upgrade"):
        ask(renewed, "select 1")
    upgrade(renewed)
    assert ask(renewed, "select count(*) from history") == [(0,)]


def test_rights_that_somebody_added_are_taken_back(server: PostgreSQLServer, owner_url: str) -> None:
    upgrade(owner_url)
    as_superuser(server, f"GRANT SELECT, INSERT ON batch TO {READER}; GRANT SELECT, DELETE ON job TO PUBLIC")
    with pytest.raises(QueryError, match="may write to 'batch'"):
        ask(owner_url, "select 1")
    upgrade(owner_url)
    for table in ("batch", "job"):
        with pytest.raises(QueryError, match="lies behind the views"):
            ask(owner_url, f"select * from {table}")


def test_two_upgrades_at_once_both_succeed(owner_url: str) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            upgrade(owner_url)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ask(owner_url, "select count(*) from history") == [(0,)]


def test_two_databases_of_a_server_may_make_the_login_at_once(server: PostgreSQLServer, owner_url: str) -> None:
    upgrade(owner_url)
    server.execute("ALTER ROLE {reader} RENAME TO {other}", reader=READER, other="put_aside")
    server.execute("CREATE DATABASE {name} TEMPLATE bench", name="bench_2")
    urls = [owner_url, owner_url.replace("/bench?", "/bench_2?")]
    engines = [create_engine(url) for url in urls]
    try:
        with engines[0].connect() as first, engines[1].connect() as second:
            create_reader(first, urls[0])
            thread = threading.Thread(target=create_reader, args=[second, urls[1]])
            thread.start()  # waits for the first one's transaction, and then finds the role made
            thread.join(0.5)
            first.commit()
            thread.join(20)
            second.commit()
        for url in urls:
            assert ask(url, "select count(*) from history") == [(0,)]
    finally:
        for engine in engines:
            engine.dispose()
        server.execute("DROP DATABASE {name} WITH (FORCE)", name="bench_2")
        as_superuser(server, "DROP OWNED BY put_aside; DROP ROLE put_aside")


def test_without_the_right_to_create_roles_an_administrator_follows_the_advice(
    server: PostgreSQLServer, plain_owner_url: str
) -> None:
    upgrade(plain_owner_url)
    with pytest.raises(QueryError, match="benchbeat_reader"):
        ask(plain_owner_url, "select 1")
    as_superuser(server, reader_advice())
    upgrade(plain_owner_url)
    reader_url = _url(server, READER, "choose one")
    assert ask(plain_owner_url, "select count(*) from history", reader_url) == [(0,)]
    with pytest.raises(QueryError, match="lies behind the views"):
        ask(plain_owner_url, "select * from batch", reader_url)


@pytest.mark.parametrize("attribute", ["SUPERUSER", "CREATEDB", "CREATEROLE"])
def test_a_login_with_more_rights_is_refused(server: PostgreSQLServer, owner_url: str, attribute: str) -> None:
    upgrade(owner_url)
    as_superuser(server, f"CREATE ROLE strong LOGIN {attribute} PASSWORD 'x'")
    try:
        with pytest.raises(QueryError, match="may do more than read"):
            ask(owner_url, "select 1", _url(server, "strong", "x"))
    finally:
        as_superuser(server, "DROP ROLE strong")


@pytest.mark.parametrize("role", ["pg_execute_server_program", "pg_read_server_files", "pg_write_all_data", "owner"])
def test_a_login_that_may_become_somebody_stronger_is_refused(
    server: PostgreSQLServer, owner_url: str, role: str
) -> None:
    upgrade(owner_url)
    as_superuser(server, f"CREATE ROLE sly LOGIN NOINHERIT PASSWORD 'x'; GRANT {role} TO sly")
    try:
        with pytest.raises(QueryError, match=r"may do more than read|may write"):
            ask(owner_url, "select 1", _url(server, "sly", "x"))
    finally:
        as_superuser(server, "DROP ROLE sly")


def test_a_login_that_may_not_read_the_views_is_told_so(server: PostgreSQLServer, owner_url: str) -> None:
    upgrade(owner_url)
    as_superuser(server, "CREATE ROLE stranger LOGIN PASSWORD 'x'")
    try:
        with pytest.raises(QueryError, match="may not read the views"):
            ask(owner_url, "select * from history", _url(server, "stranger", "x"))
    finally:
        as_superuser(server, "DROP ROLE stranger")
