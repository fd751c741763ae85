"""llama-bench's words for model, format and device, in ours."""

from typing import Any

import pytest

from tests.bench.imports.reading import bench_run


@pytest.mark.parametrize(
    ("model_type", "precision"),
    [
        ("llama 256M all F32", "float32"),
        ("llama 256M F16", "float16"),
        ("llama 256M BF16", "bfloat16"),
        ("llama 7B mostly Q4_0", "Q4_0"),
        ("qwen2 1.5B Q8_0", "Q8_0"),
        ("qwen2 1.5B Q4_K - Medium", "Q4_K_M"),
        ("qwen2 1.5B Q4_K - Small", "Q4_K_S"),
        ("qwen2 1.5B Q3_K - Large", "Q3_K_L"),
        ("qwen2 1.5B Q2_K - Medium", "Q2_K"),
        ("qwen2 1.5B Q2_K - Small", "Q2_K_S"),
        ("qwen2 1.5B Q6_K", "Q6_K"),
        ("llama 8B IQ2_XXS - 2.0625 bpw", "IQ2_XXS"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "IQ3_M"),
        ("llama 8B TQ1_0 - 1.69 bpw ternary", "TQ1_0"),
        ("gpt-oss 20B MXFP4 MoE", "MXFP4"),
        ("llama 8B Q5_1 (guessed)", "Q5_1"),
        ("llama 8B (guessed) Q5_1", "Q5_1"),
        ("llama 8B unknown, may not work", "Q4_1"),
        ("", "Q4_1"),
    ],
)
def test_the_format_is_llama_cpps_own_or_else_the_file_s(model_type: str, precision: str) -> None:
    assert bench_run(model_type=model_type, model_filename="m.Q4_1.gguf").precision == precision


def test_a_format_that_nobody_names_is_unknown() -> None:
    assert bench_run(model_type="llama 8B", model_filename="m.gguf").precision == "-"


@pytest.mark.parametrize(
    ("filename", "model"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("models/7B/qwen2.5-1.5b-instruct-q4_k_m.gguf", "qwen2.5-1.5b-instruct"),
        (r"C:\models\Llama-3.2-3B-BF16.gguf", "Llama-3.2-3B"),
        ("gpt-oss-20b-MXFP4.gguf", "gpt-oss-20b"),
        ("Qwen3-30B-UD-Q4_K_XL-00001-of-00003.gguf", "Qwen3-30B"),
        ("phi-3.f16.gguf", "phi-3"),
        ("model", "model"),
        ("my model.gguf", "my-model"),
    ],
)
def test_a_model_is_called_after_its_file(filename: str, model: str) -> None:
    assert bench_run(model_filename=filename).model == model


@pytest.mark.parametrize(
    ("changes", "device", "name"),
    [
        ({"backends": "CPU"}, "cpu", "AMD EPYC"),
        ({"backends": "BLAS"}, "cpu", "AMD EPYC"),
        ({"backends": "CUDA", "gpu_info": "NVIDIA H100", "n_gpu_layers": 99}, "cuda", "NVIDIA H100"),
        ({"backends": "CUDA,RPC", "gpu_info": "NVIDIA H100", "n_gpu_layers": -1}, "cuda", "NVIDIA H100"),
        ({"backends": "CUDA", "gpu_info": "NVIDIA H100", "n_gpu_layers": 0}, "cpu", "AMD EPYC"),
        ({"backends": "CUDA", "gpu_info": "NVIDIA H100", "n_gpu_layers": 99, "devices": "none"}, "cpu", "AMD EPYC"),
        ({"backends": "CUDA", "gpu_info": "", "n_gpu_layers": 99}, "cpu", "AMD EPYC"),
        ({"backends": "MTL,BLAS", "gpu_info": "Apple M4", "n_gpu_layers": 99}, "mps", "Apple M4"),
        ({"backends": "Metal,BLAS", "gpu_info": "", "cpu_info": "Apple M4", "n_gpu_layers": 99}, "mps", "Apple M4"),
        ({"backends": "Vulkan", "gpu_info": "Radeon", "n_gpu_layers": 99}, "vulkan", "Radeon"),
        ({"backends": "CPU", "cpu_info": ""}, "cpu", "-"),
    ],
)
def test_the_device_is_where_the_weights_are(changes: dict[str, Any], device: str, name: str) -> None:
    run = bench_run(**changes)
    assert (run.device, run.device_name) == (device, name)


def test_a_cache_of_two_formats_names_both() -> None:
    assert bench_run(type_k="q8_0", type_v="f16").cache == "q8_0/f16"
    assert bench_run(type_k=..., type_v=...).cache == "-"
