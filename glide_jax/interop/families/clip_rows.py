"""The transformer's rows, which the tables of CLIP's two encoders share."""

TRANSFORMER = (
    ("transformer.blocks.{}.attention_norm", "blocks.block_{}.f_attn.ln", "clip_norm"),
    ("transformer.blocks.{}.query", "blocks.block_{}.f_attn.f_q", "clip_linear"),
    ("transformer.blocks.{}.key", "blocks.block_{}.f_attn.f_k", "clip_linear"),
    ("transformer.blocks.{}.value", "blocks.block_{}.f_attn.f_v", "clip_linear"),
    ("transformer.blocks.{}.proj", "blocks.block_{}.f_attn.f_c", "clip_linear"),
    ("transformer.blocks.{}.mlp_norm", "blocks.block_{}.f_mlp.ln", "clip_norm"),
    ("transformer.blocks.{}.mlp_in", "blocks.block_{}.f_mlp.f_1", "clip_linear"),
    ("transformer.blocks.{}.mlp_out", "blocks.block_{}.f_mlp.f_2", "clip_linear"),
    ("transformer.norm", "blocks.output.ln", "clip_norm"),
    ("transformer.proj", "blocks.output.f", "clip_linear"),
)
