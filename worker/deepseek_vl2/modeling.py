"""The model: what each tile shows becomes a square of tokens, and the squares are laid out as the picture was."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import DeepseekV2ForCausalLM, GenerationConfig, GenerationMixin, PreTrainedModel, SiglipVisionModel
from transformers.initialization import normal_
from transformers.utils import GENERATION_CONFIG_NAME

from bench.errors import ModelError
from worker.deepseek_vl2.checkpoint import UNUSED, check_tensors, one_by_one, open_tensors, register_timm_names
from worker.deepseek_vl2.configuration import DeepseekVL2Config, DeepseekVL2ProjectorConfig, DeepseekVL2VisionConfig
from worker.deepseek_vl2.tokens import image_token_id, load_tokenizer


class DeepseekVL2Vision(SiglipVisionModel):  # type: ignore[misc]
    """transformers' SigLIP, under a name of its own: its weights on the hub have timm's names."""

    config: DeepseekVL2VisionConfig


register_timm_names(DeepseekVL2Vision.__name__)


class DeepseekVL2Projector(nn.Module):
    """Merges squares of patches into tokens as wide as the language model's."""

    def __init__(self, config: DeepseekVL2ProjectorConfig) -> None:
        super().__init__()
        self.ratio = config.downsample_ratio
        self.layers = nn.Sequential(
            nn.Linear(config.input_dim * self.ratio**2, config.n_embed),
            nn.GELU(),
            nn.Linear(config.n_embed, config.n_embed),
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return tokens (tiles, side, side, n_embed) of patches (tiles, patches a side ** 2, input_dim)."""
        tiles, count, width = patches.shape
        side = int(count**0.5)
        grid = patches.transpose(1, 2).reshape(tiles, width, side, side)
        # 27 patches a side make 13 and a half squares: a row and a column of zeros complete the last.
        missing = -side % self.ratio
        grid = nn.functional.pad(grid, (0, missing, 0, missing))
        squares = nn.functional.unfold(grid, kernel_size=self.ratio, stride=self.ratio).transpose(1, 2)
        side = (side + missing) // self.ratio
        tokens: torch.Tensor = self.layers(squares)
        return tokens.reshape(tiles, side, side, -1)


class DeepseekVL2ForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """DeepSeek-VL2; its parts bear the names that they have in the hub's checkpoint."""

    config: DeepseekVL2Config
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    _keys_to_ignore_on_load_unexpected = (rf"^{UNUSED}",)
    _no_split_modules = ("SiglipEncoderLayer", "DeepseekV2DecoderLayer")
    _skip_keys_device_placement = ("past_key_values",)
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: DeepseekVL2Config) -> None:
        super().__init__(config)
        width = config.projector_config.n_embed
        self.vision = DeepseekVL2Vision(config.vision_config)
        self.projector = DeepseekVL2Projector(config.projector_config)
        self.language = DeepseekV2ForCausalLM(config.language_config)
        #: ends each row of a picture's tokens
        self.image_newline = nn.Parameter(torch.empty(width))
        #: stands between the whole picture and its tiles; the spelling is the checkpoint's
        self.view_seperator = nn.Parameter(torch.empty(width))
        self.post_init()

    @classmethod
    def from_pretrained(cls, folder: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the model in a folder of the hub's layout, its weights read one by one onto their device.

        Takes what transformers' own `from_pretrained` takes, but a folder only.
        Raises ModelError where the weights are not exactly those that the configuration asks for.
        """
        if not Path(folder).is_dir():
            raise ModelError(f"there is no folder {folder}")
        config = kwargs.pop("config", None) or DeepseekVL2Config.from_pretrained(folder)
        tensors = open_tensors(Path(folder))
        with torch.device("meta"):
            check_tensors(tensors, cls(config), Path(folder))
        if config.image_token_id is None:
            config.image_token_id = image_token_id(load_tokenizer(folder))
        kwargs.setdefault("generation_config", _generation_config(Path(folder), config))
        with one_by_one():
            loaded = super().from_pretrained(None, *args, config=config, state_dict=tensors, **kwargs)
        # With `output_loading_info` it is a pair.
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.config.name_or_path = str(folder)
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            for mark in (self.image_newline, self.view_seperator):
                normal_(mark, std=mark.shape[0] ** -0.5)

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of the text's tokens."""
        table: nn.Module = self.language.get_input_embeddings()
        return table

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of the text's tokens."""
        self.language.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that scores the next token."""
        head: nn.Module = self.language.lm_head
        return head

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        images_spatial_crop: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **passed: Any,
    ) -> Any:
        """Return the language model's output for token ids (rows, length) and the pictures among them.

        `pixel_values` (tiles, 3, side, side) holds each picture's whole view, then its tiles row by row, the pictures
        in the order of their places in `input_ids`; `images_spatial_crop` (pictures, 2) its columns and rows of tiles.
        """
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
            if pixel_values is not None and len(pixel_values):
                inputs_embeds = self._with_pictures(inputs_embeds, input_ids, pixel_values, images_spatial_crop)
        return self.language(
            inputs_embeds=inputs_embeds,
            # generate() reads from this signature that the model takes these three.
            attention_mask=attention_mask,
            position_ids=position_ids,
            logits_to_keep=logits_to_keep,
            **passed,
        )

    def _with_pictures(
        self, embeddings: torch.Tensor, input_ids: Any, pixel_values: torch.Tensor, images_spatial_crop: Any
    ) -> torch.Tensor:
        """Return the embeddings with the pictures' tokens in their places."""
        if self.config.image_token_id is None:
            raise ValueError("config.image_token_id is not set: the model can't tell where the pictures go")
        places = input_ids == self.config.image_token_id
        pictures = self.picture_tokens(pixel_values, images_spatial_crop).to(embeddings)
        if int(places.sum()) != len(pictures):
            raise ValueError(f"the pictures have {len(pictures)} tokens, and the prompt {int(places.sum())} places")
        return embeddings.masked_scatter(places.unsqueeze(-1), pictures)

    def picture_tokens(self, pixel_values: torch.Tensor, images_spatial_crop: torch.Tensor) -> torch.Tensor:
        """Return the tokens (places, width) of pictures, one picture after the other; shapes as in `forward`."""
        grids = images_spatial_crop.tolist()
        wanted = sum(1 + columns * rows for columns, rows in grids)
        if wanted != len(pixel_values):
            raise ValueError(f"the pictures' grids ask for {wanted} tiles, and there are {len(pixel_values)}")
        tiles = self.projector(self.vision(pixel_values).last_hidden_state)
        tokens, start = [], 0
        for columns, rows in grids:
            end = start + 1 + columns * rows
            whole, parts = tiles[start], tiles[start + 1 : end]
            tokens += [self._lines(whole), self.view_seperator[None], self._lines(_one_grid(parts, columns, rows))]
            start = end
        return torch.cat(tokens)

    def _lines(self, grid: torch.Tensor) -> torch.Tensor:
        """Return a grid of tokens (height, width, n) as one sequence, each row followed by a newline."""
        newlines = self.image_newline.expand(grid.shape[0], 1, -1)
        return torch.cat([grid, newlines], dim=1).flatten(0, 1)

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        images_spatial_crop: torch.Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return one step's inputs: the pictures go with the first, and lie in the cache after it."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, **kwargs
        )
        if is_first_iteration or not kwargs.get("use_cache", True):
            inputs |= {"pixel_values": pixel_values, "images_spatial_crop": images_spatial_crop}
        return inputs


def _one_grid(parts: torch.Tensor, columns: int, rows: int) -> torch.Tensor:
    """Return tiles (rows * columns, side, side, n) as one grid (rows * side, columns * side, n)."""
    side, width = parts.shape[1], parts.shape[3]
    by_place = parts.reshape(rows, columns, side, side, width)
    return by_place.transpose(1, 2).reshape(rows * side, columns * side, width)


def _generation_config(folder: Path, config: DeepseekVL2Config) -> Any:
    """Return how a checkpoint is to generate: what its own file says, else the language model's configuration."""
    if (folder / GENERATION_CONFIG_NAME).is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(config)
