"""What people write instead of a queue: a script that loads a model and asks it one list of prompts after the other.

`python -P -m tests.performance.bare_sweep FILE [NUMBER]`: all jobs of a file, or the one of that number. It makes the
calls that a session makes for the same jobs, the one that warms up included, and prints how many tokens it generated.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


def main() -> None:
    """Ask, and print the number of tokens."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    jobs = [asked["jobs"][int(sys.argv[2])]] if len(sys.argv) > 2 else asked["jobs"]
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(asked["checkpoint"])
    model = AutoModelForCausalLM.from_pretrained(asked["checkpoint"], dtype=torch.float32).eval()
    sys.stdout.write(f"{sum(_job(model, tokenizer, job, asked['tokens']) for job in jobs)}\n")


def _job(model: Any, tokenizer: Any, job: list[Any], tokens: int) -> int:
    prompts = [
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) for messages in job
    ]
    prompts.sort(key=lambda prompt: -len(prompt))
    _generate(model, tokenizer, prompts[-1:], 1)
    return _generate(model, tokenizer, prompts, tokens)


def _generate(model: Any, tokenizer: Any, prompts: list[list[int]], tokens: int) -> int:
    """Generate greedily; return how many tokens came, up to each answer's end."""
    inputs = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    made = model.generate(
        **inputs, do_sample=False, max_new_tokens=tokens, pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id
    )
    answers = made[:, inputs["input_ids"].shape[1] :]
    for answer in answers:
        tokenizer.decode(answer, skip_special_tokens=True)
    ends = torch.tensor(_ends(model))
    return sum(_length(torch.isin(answer, ends).tolist()) for answer in answers)


def _ends(model: Any) -> list[int]:
    found = model.generation_config.eos_token_id
    return found if isinstance(found, list) else [found]


def _length(is_end: list[bool]) -> int:
    return is_end.index(True) + 1 if True in is_end else len(is_end)


if __name__ == "__main__":
    main()
