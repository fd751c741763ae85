"""Bad input: one whole sentence, exit code 2, nothing stored."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

SMALL = ("--model", "smollm2-135m", "--workload", "facts")
BLOCK = '[[sweep]]\nmodel = "smollm2-135m"\nworkload = "facts"\n'
MINE = '[[sweep]]\nmodel = "mine"\nworkload = "facts"\n[models.mine]\ntask = "text"\nmemory_gib = { float32 = 1.0 }\n'

OPTIONS = {
    (): "give a sweep file, or at least --model and --workload (see --help)",
    ("--model", "smollm2-135m"): "--workload: is missing; `benchbeat workloads list` shows what there is",
    ("--model", "smollm2", "--workload", "facts"): "--model: unknown model 'smollm2'; did you mean 'smollm2-135m'?",
    ("--model", "smollm2-135m", "--workload", "fact"): "--workload: unknown workload 'fact'; did you mean 'facts'?",
    (*SMALL, "--strategy", "direct,few"): "--strategy: unknown strategy 'few'; did you mean 'few_shot'?",
    (*SMALL, "--temperature", ","): "--temperature: an empty list leaves no job; give a value, or leave it out",
    (*SMALL, "--temperature", ""): "--temperature: an empty list leaves no job; give a value, or leave it out",
    (*SMALL, "--temperature", "-1"): "--temperature: must be at least 0 (it is '-1')",
    (*SMALL, "--temperature", "0,hot"): "--temperature: must be a number (it is 'hot')",
    (*SMALL, "--items", "1000"): "--items: 'facts' has 132 items, not 1000",
    (*SMALL, "--max-new-tokens", "0"): "--max-new-tokens: must be at least 1 (it is '0')",
    (*SMALL, "--compile", "maybe"): "--compile: must be true or false (it is 'maybe')",
    (
        *SMALL,
        "--precision",
        "int3",
    ): "--precision: must be 'float32', 'float16', 'bfloat16', 'int8' or 'int4' (it is 'int3')",
    (*SMALL, "--device", "gpu"): "--device: must be 'any', 'cpu', 'cuda' or 'mps' (it is 'gpu')",
    (*SMALL, "--priority", "2000"): "--priority: must be a whole number from -1000 to 1000 (it is 2000)",
    (*SMALL, "--name", "a\nb"): "--name: must be a text of 1 to 200 characters on one line",
    (*SMALL, "--name", ""): "--name: must be a text of 1 to 200 characters on one line",
    (*SMALL, "--stop", "tarket=0.1"): "--stop: tarket: unknown key; did you mean 'target'?",
    (*SMALL, "--stop", "5"): "--stop: write it as target=0.02,max_iterations=30 (it is '5')",
    ("--model", "blip-base", "--workload", "facts"): (
        "--workload: 'facts' is for text models, 'blip-base' is a vision model"
    ),
    ("--model", "llama-3.2-3b", "--workload", "facts"): (
        "--model: 'llama-3.2-3b' is gated: accept the licence of meta-llama/Llama-3.2-3B-Instruct on the hub, "
        "then set HF_TOKEN to your access token"
    ),
    ("gone.toml",): "gone.toml: there is no such file",
    (".",): ".: can't be read: Is a directory",
    ("gone.toml", "--seed", "3"): "--seed: goes without a sweep file; replace the file's axis with --set seed=...",
}

FILES = {
    "": ": holds no [[sweep]] block, which names at least model and workload",
    "name = \n": ":1: is no valid TOML: Invalid value at column 8",
    BLOCK + "x = [\n": ":4: is no valid TOML: Invalid value at the end of the file",
    BLOCK + 'modle = "x"\n': ":4: modle: unknown key; did you mean 'model'?",
    BLOCK + "temperature = -1\n": ":4: temperature: must be at least 0 (it is -1)",
    BLOCK + 'temperature = [0, "hot"]\n': ":4: temperature: must be a number (it is 'hot')",
    BLOCK + "strategy = []\n": ":4: strategy: an empty list leaves no job; give a value, or leave it out",
    BLOCK + 'strategy = "few_shoot"\n': ":4: strategy: unknown strategy 'few_shoot'; did you mean 'few_shot'?",
    BLOCK + 'exclude = [{ model = "smollm2-135m" }]\n': ":4: exclude: leaves no job; take an entry out",
    BLOCK + "exclude = [{ seed = 3 }]\n": ":4: exclude: seed is no axis of this block; there is model, workload",
    "priority = 5000\n" + BLOCK: ":1: priority: must be a whole number from -1000 to 1000 (it is 5000)",
    "temperature = 0.5\n" + BLOCK: ":1: temperature: unknown key; axes stand under [[sweep]]",
    BLOCK.replace("smollm2-135m", "whisper-base"): (
        ":3: workload: 'facts' is for text models, 'whisper-base' is a speech model"
    ),
    BLOCK.replace("smollm2-135m", "llama-3.2-3b"): (
        ":2: model: 'llama-3.2-3b' is gated: accept the licence of meta-llama/Llama-3.2-3B-Instruct on the hub, "
        "then set HF_TOKEN to your access token"
    ),
    MINE + 'source = "file:gone"\n': (
        ":7: [models.mine] source: there are no weights at HERE/gone; "
        "give the path, or the file's sha256 if only the workers have it"
    ),
    MINE + 'source = "ftp:x"\n': (
        ":7: [models.mine] source: 'ftp:x' is no source; allowed are hub:ORG/NAME[@REVISION], file:PATH, gguf:PATH, "
        "wheel:PACKAGE==VERSION#PATH/IN/WHEEL and whisper:SIZE"
    ),
    MINE + f'source = "gguf:s.toml"\nsha256 = "{"0" * 64}"\n': (
        f":8: [models.mine] sha256: HERE/s.toml has the SHA-256 HASH, not {'0' * 64}"
    ),
}


@pytest.mark.parametrize("name", ["submit", "run"])
@pytest.mark.parametrize(("arguments", "said"), OPTIONS.items())
def test_options(benchbeat: Command, home: Path, name: str, arguments: tuple[str, ...], said: str) -> None:
    done = benchbeat(name, *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert not list(home.iterdir())


@pytest.mark.parametrize(("text", "said"), FILES.items())
def test_files(benchbeat: Command, home: Path, text: str, said: str) -> None:
    import hashlib

    file = Path("s.toml")
    file.write_text(text)
    done = benchbeat("submit", "s.toml")
    said = said.replace("HERE", str(Path.cwd())).replace("HASH", hashlib.sha256(file.read_bytes()).hexdigest())
    assert (done.code, done.out, done.err) == (2, "", f"Error: s.toml{said}\n")
    assert not list(home.iterdir())


def test_a_file_that_is_no_text(benchbeat: Command, home: Path) -> None:
    Path("s.toml").write_bytes(b'name = "\xff"\n')
    done = benchbeat("submit", "s.toml")
    assert (done.code, done.err) == (2, "Error: s.toml:1: this line is not UTF-8 text\n")
    assert not list(home.iterdir())


def test_more_than_100_000_jobs(benchbeat: Command, home: Path) -> None:
    seeds = ",".join(str(seed) for seed in range(317))
    done = benchbeat("submit", *SMALL, "--temperature", "0.5", "--seed", seeds, "--items-seed", seeds)
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "Error: the sweep expands to 100,489 jobs, more than 100,000; shorten its lists, or confirm with --yes\n",
    )
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", *SMALL, "-o", "xml"), "'xml' is not one of 'table', 'json', 'jsonl', 'csv', 'md'."),
        (("submit", *SMALL, "--priority", "high"), "'high' is not a valid integer."),
        (("submit", *SMALL, "--workloads", "x"), "No such option '--workloads'. Did you mean '--workload'?"),
        (("status", "first"), "'first' is no whole number"),
        (("history", "--limit", "0"), "0 is not from 1 to 9223372036854775807"),
        (("status", str(2**63)), "9223372036854775808 is not from 1 to 9223372036854775807"),
        (("cancel", "--batch", "0"), "0 is not from 1 to 9223372036854775807"),
        (("cancel",), "give job ids, or --batch with a batch's id"),
        (("retry",), "give job ids, or --batch with a batch's id"),
        (("models", "fetch"), "Missing argument 'NAME...'."),
    ],
)
def test_what_click_refuses(benchbeat: Command, home: Path, arguments: tuple[str, ...], said: str) -> None:
    done = benchbeat(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"{said}\n")
    assert not list(home.iterdir())


BAD_SETTINGS = {
    ("BENCHBEAT_BROKER_URL", "amqp://me:sesame@host"): "must be redis://HOST:PORT/DB, or rediss:// for TLS",
    ("BENCHBEAT_DATABASE_URL", "mysql://me:sesame@host/x"): (
        "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
    ),
    ("BENCHBEAT_DATABASE_URL", "postgresql://me:sesame@host:port/x"): (
        "can't be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
        "with what is not a letter or digit in the password as %XX"
    ),
    ("BENCHBEAT_DATABASE_URL", "sqlite://"): (
        "a database in memory ends with the command; give a file: sqlite:///PATH"
    ),
    ("BENCHBEAT_DEVICE", "gpu"): "must be auto, cpu, cuda or mps (it is 'gpu')",
    ("BENCHBEAT_TICK_SECONDS", "soon"): "must be a number (it is 'soon')",
    ("BENCHBEAT_MACHINE", "my mac"): "must be 1 to 64 letters, digits, _ or - (it is 'my mac')",
}


@pytest.mark.parametrize(("variable", "said"), BAD_SETTINGS.items())
def test_settings(
    benchbeat: Command, home: Path, monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str], said: str
) -> None:
    monkeypatch.setenv(*variable)
    done = benchbeat("submit", *SMALL)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {variable[0]}: {said}\n")
    assert not list(home.iterdir())


def test_a_setting_of_the_homes_file_is_named_with_its_line(benchbeat: Command, home: Path) -> None:
    (home / "benchbeat.toml").write_text('# mine\ndevice = "cpu"\nlease_seconds = 0\n')
    assert benchbeat("status").err == f"Error: {home}/benchbeat.toml:3: lease_seconds: must be at least 1 (it is 0)\n"
    (home / "benchbeat.toml").write_text('\ndevise = "cpu"\n')
    assert benchbeat("status").err == (f"Error: {home}/benchbeat.toml:2: devise: unknown key; did you mean 'device'?\n")


def test_an_unknown_variable_is_warned_of(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBEAT_DATABSE_URL", "x")
    done = benchbeat("strategies", "list")
    assert done.code == 0
    done = benchbeat("status")
    assert done.err == (
        "Warning: BENCHBEAT_DATABSE_URL is no setting of benchbeat and does nothing; "
        "did you mean 'BENCHBEAT_DATABASE_URL'?\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [("submit", *SMALL), ("status",), ("history",), ("sql",), ("sql", "select 1"), ("db", "check"), ("beat",)],
)
def test_an_unreachable_database(
    benchbeat: Command, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", "postgres://me:sesame@127.0.0.1:1/x")
    done = benchbeat(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Error: The database postgresql+psycopg://me:***@127.0.0.1:1/x can't be used (")
    assert done.err.endswith("start PostgreSQL there, or unset BENCHBEAT_DATABASE_URL to use SQLite\n")
    assert "Connection refused" in done.err
    assert not list(home.iterdir())


def test_a_file_that_is_no_database(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.db").write_text("no database at all, though long enough to have a header of its own" * 20)
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", f"sqlite:///{Path.cwd()}/x.db")
    done = benchbeat("status")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: The database {Path.cwd()}/x.db can't be used (file is not a database)")
