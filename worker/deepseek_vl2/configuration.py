"""The configuration of DeepSeek-VL2, in the words of the hub's config.json."""

from typing import Any, ClassVar

from transformers import DeepseekV2Config, PretrainedConfig


class DeepseekVL2VisionConfig(PretrainedConfig):  # type: ignore[misc]
    """The vision tower: a SigLIP, described in timm's words; the defaults are those of SO400M/14 at 384 pixels."""

    model_type = "vision"
    base_config_key = "vision_config"
    # The names by which transformers' SiglipVisionModel asks for the same figures.
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
    }

    model_name: str = "siglip_so400m_patch14_384"
    width: int = 1152
    layers: int = 27
    heads: int = 16
    #: width of the feed-forward layers over `width`
    mlp_ratio: float = 3.7362
    #: pixels of a patch's side, and of a tile's
    patch_size: int = 14
    image_size: int = 384
    num_channels: int = 3
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    #: SigLIP's pooling head; the patches themselves are wanted here
    vision_use_head: bool = False

    @property
    def intermediate_size(self) -> int:
        """Return the width of the feed-forward layers, cut to a whole number as timm does."""
        return int(self.width * self.mlp_ratio)


class DeepseekVL2ProjectorConfig(PretrainedConfig):  # type: ignore[misc]
    """The projector from the tower's patches to the language model's tokens."""

    model_type = "mlp_projector"
    base_config_key = "projector_config"

    projector_type: str = "downsample_mlp_gelu"
    #: width of a patch, and of a token
    input_dim: int = 1152
    n_embed: int = 2048
    depth: int = 2
    mlp_ratio: int = 1
    #: so many patches a side are merged into one token
    downsample_ratio: int = 2


class DeepseekVL2Config(PretrainedConfig):  # type: ignore[misc]
    """The whole model; raises ValueError for a member of the family that this code does not describe."""

    model_type = "deepseek_vl_v2"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": DeepseekVL2VisionConfig,
        "projector_config": DeepseekVL2ProjectorConfig,
        "language_config": DeepseekV2Config,
    }

    #: the parts: taken as the file's tables, kept as the configurations named above
    vision_config: Any = None
    projector_config: Any = None
    language_config: Any = None
    #: (width, height) in pixels of the pictures that tiles make up
    candidate_resolutions: list[Any] | tuple[Any, ...] = ((384, 384),)
    #: tokens are laid out in two dimensions, the whole picture's before its tiles'
    tile_tag: str = "2D"
    global_view_pos: str = "head"
    #: the token that stands where a picture's tokens go; the hub's file leaves it to the tokenizer
    image_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        _check(self)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Any:
        """Return the language model's part, which `generate` goes by."""
        return self.language_config


#: what is taken for granted of each part: the field, the value it must have, and what it has where it is left out
_GRANTED = {
    "": (("tile_tag", "2D", "2D"), ("global_view_pos", "head", "head")),
    "projector_config": (("projector_type", "downsample_mlp_gelu", None), ("depth", 2, None), ("mlp_ratio", 1, None)),
    "language_config": (
        ("use_mla", True, True),
        ("topk_method", "greedy", None),
        ("scoring_func", "softmax", "softmax"),
        ("norm_topk_prob", False, False),
    ),
}


def _check(config: DeepseekVL2Config) -> None:
    """Raise ValueError where a part is of a kind that the model here would compute wrongly."""
    for part, fields in _GRANTED.items():
        holder = getattr(config, part) if part else config
        for field, wanted, absent in fields:
            found = getattr(holder, field, absent)
            if found != wanted:
                place = f"{part}.{field}" if part else field
                raise ValueError(f"{place} = {found!r} is not supported, only {wanted!r} (as in deepseek-vl2-small)")
    if not str(config.vision_config.model_name).startswith("siglip"):
        raise ValueError(f"vision_config.model_name = {config.vision_config.model_name!r} is no SigLIP")
    made, wanted = config.projector_config.n_embed, config.language_config.hidden_size
    if made != wanted:
        raise ValueError(f"the projector makes tokens of {made} numbers, and the language model takes {wanted}")
    given, wanted = config.vision_config.width, config.projector_config.input_dim
    if given != wanted:
        raise ValueError(f"the vision tower gives patches of {given} numbers, and the projector takes {wanted}")
