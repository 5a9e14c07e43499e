"""Which keys the configuration classes of transformers have, with their defaults.

Writes ../fixtures/golden/config-classes.json: the fields of every supported class (those of the common base class
apart), the keys that the base class takes out of config.json besides its fields, and the names of activations.

    python config_classes.py
"""

import dataclasses
import json
import pathlib

import transformers
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig
from transformers.activations import ACT2CLS
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS, RopeParameters

TYPES = ["llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "seed_oss", "opt", "gemma3_text", "gemma3", "gemma2",
    "gemma", "granite",
         "olmo3", "ministral3", "mistral3", "ministral", "exaone4", "hunyuan_v1_dense", "arcee", "nanochat", "cwm",
         "olmo", "helium",
         "ernie4_5", "hyperclovax", "vaultgemma", "nemotron",
         "phi3", "gpt2", "gpt_neox", "starcoder2", "phi", "stablelm", "cohere", "cohere2", "glm", "glm4", "falcon",
         "gpt_bigcode",
         "gptj", "gpt_neo", "lfm2", "qwen3_5_text", "qwen3_5", "roberta", "xlm-roberta", "bert", "modernbert",
         "eurobert", "internlm3", "exaone", "jais2", "bloom", "mpt", "apertus",
         "qwen3_moe", "mixtral", "olmoe", "qwen2_moe", "gpt_oss", "granitemoe", "qwen3_next", "qwen3_5_moe_text",
         "qwen3_5_moe",
         "granitemoeshared", "granitemoehybrid", "granite_swa", "lfm2_moe", "ernie4_5_moe", "phimoe", "glm4_moe",
         "dots1", "olmo_hybrid",
         "hunyuan_v1_moe", "gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"]
OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "golden" / "config-classes.json"


def fields_of(cls):
    result = {}
    for field in dataclasses.fields(cls):
        default = field.default
        if default is dataclasses.MISSING:
            default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
        result[field.name] = default
    return result


base = fields_of(PreTrainedConfig)
types = {}
for name in TYPES:
    cls = type(AutoConfig.for_model(name))
    fields = fields_of(cls)
    # A fresh configuration shows defaults that other fields decide.
    types[name] = {key: value for key, value in fields.items() if key not in base}

result = {
    "transformers": transformers.__version__,
    "base": base,
    "types": types,
    # What PreTrainedConfig.__post_init__ takes out of the remaining keys.
    "popped": sorted(
        {
            "torch_dtype", "num_labels", "rope_scaling", "rope_theta", "partial_rotary_factor", "name_or_path",
            "_commit_hash",
            "output_attentions", "attn_implementation", "experts_implementation", "per_layer_config",
            "_attn_implementation_internal", "_experts_implementation_internal",
        }
        | set(GenerationConfig._get_default_generation_params())
    ),
    "activations": sorted(ACT2CLS),
    "rope_types": ["default", *sorted(ROPE_INIT_FUNCTIONS)],
    "rope_keys": sorted(RopeParameters.__annotations__),
}
# As files of configurations have what JSON has no number for.
OUT.write_text(json.dumps(result, indent=1).replace(" Infinity", ' {"__float__": "Infinity"}') + "\n")
print(OUT, {name: len(fields) for name, fields in types.items()})
