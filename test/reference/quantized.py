"""Writes quantised checkpoints with the formats' own libraries, and the values and logits that these give.

    python -m venv venv
    venv/bin/pip install torch==2.13.0 transformers==5.24.0 safetensors==0.8.0 compressed-tensors==0.20.1 \\
        bitsandbytes==0.50.2 accelerate
    venv/bin/python test/reference/quantized.py

Into test/fixtures/quantized: `matrices.json`, single matrices with the tensors of their files and every value in f32;
and folders with small models and their logits. GPTQ is packed by the formulas of GPTQModel 7.7 and AWQ by those of
AutoAWQ, which need a GPU to be installed.
"""

import base64
import json
import pathlib

import bitsandbytes.functional as bnb
import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "quantized"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int8: "I8", torch.uint8: "U8",
         torch.int32: "I32", torch.int64: "I64", torch.float8_e4m3fn: "F8_E4M3"}


def weights(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, columns, generator=generator) * 0.1
    return values + 0.03 * torch.randn(rows, 1, generator=generator)


# compressed-tensors ---------------------------------------------------------------------------------------------------

def scheme(**weights_arguments):
    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights_arguments))


def observed(weight, arguments, dtype):
    """Scales and zero points from the extremes of what shares them."""
    rows, columns = weight.shape
    strategy = getattr(arguments.strategy, "value", arguments.strategy)
    if strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    elif strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    elif strategy == "group":
        groups = weight.reshape(rows, -1, arguments.group_size)
        low, high = groups.amin(2), groups.amax(2)
    else:
        height, width = arguments.block_structure
        down, across = -(-rows // height), -(-columns // width)
        low, high = torch.empty(down, across), torch.empty(down, across)
        for r in range(down):
            for c in range(across):
                block = weight[r * height:(r + 1) * height, c * width:(c + 1) * width]
                low[r, c], high[r, c] = block.min(), block.max()
    scale, zero = calculate_qparams(low, high, arguments)
    return scale.to(dtype), zero


def compressed(weight, format, dtype=torch.float32, **arguments):
    own = scheme(**arguments)
    scale, zero = observed(weight, own.weights, dtype)
    state = {"weight": weight.to(dtype), "weight_scale": scale, "weight_zero_point": zero}
    compressor = BaseCompressor.get_value_from_registry(format)
    tensors = compressor.compress(state, own)
    tensors = {name: tensor for name, tensor in tensors.items()
               if name in compressor.compression_param_names(own) or name == "weight_shape"}
    # Values before they are rounded to the type of the scales.
    wide = {**tensors, "weight_scale": tensors["weight_scale"].float()}
    values = compressor.decompress(wide, own)["weight"]
    rounded = compressor.decompress(dict(tensors), own)["weight"]
    assert torch.equal(values.to(dtype), rounded.to(dtype))
    config = {"quant_method": "compressed-tensors", "format": format, "quantization_status": "compressed",
              "ignore": ["lm_head"], "config_groups": {"group_0": json.loads(own.model_dump_json())}}
    return config, tensors, values


def with_order(weight, dtype, group_size, symmetric):
    """pack-quantized with `weight_g_idx`, which older versions of the library wrote: columns have groups by number."""
    columns = weight.shape[1]
    order = torch.randperm(columns, generator=torch.Generator().manual_seed(7))
    config, tensors, values = compressed(weight[:, order].contiguous(), "pack-quantized", dtype, num_bits=4,
                                         strategy="group", group_size=group_size, symmetric=symmetric)
    back = torch.argsort(order)
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    own = QuantizationScheme(**config["config_groups"]["group_0"])
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
    codes = unpack_from_int32(tensors["weight_packed"], 4, torch.Size(weight.shape))
    tensors["weight_packed"] = pack_to_int32(codes[:, back].contiguous(), 4)
    tensors["weight_g_idx"] = (back // group_size).to(torch.int32)
    config["config_groups"]["group_0"]["weights"]["actorder"] = "group"
    return config, tensors, values[:, back].contiguous()


# FP8 in blocks --------------------------------------------------------------------------------------------------------

def fp8(weight, block, dtype=torch.float32):
    rows, columns = weight.shape
    height, width = block
    down, across = -(-rows // height), -(-columns // width)
    scale = torch.empty(down, across)
    codes = torch.empty(rows, columns, dtype=torch.float8_e4m3fn)
    values = torch.empty(rows, columns)
    for r in range(down):
        for c in range(across):
            part = (slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width))
            scale[r, c] = (weight[part].abs().max() / 448).to(dtype).float()
            codes[part] = (weight[part] / scale[r, c]).clamp(-448, 448).to(torch.float8_e4m3fn)
            values[part] = codes[part].float() * scale[r, c]
    scale = scale.to(dtype)
    if rows % height == 0 and columns % width == 0:
        theirs = Fp8Dequantize(None)._dequantize_one(codes, scale, torch.float32)
        assert torch.equal(theirs, values)
    config = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": list(block)}
    return config, {"weight": codes, "weight_scale_inv": scale}, values


# GPTQ and AWQ ---------------------------------------------------------------------------------------------------------

def asymmetric(weight, bits, group_size, dtype, zero_from=0):
    """Codes [out, in], scales [groups, out] and zeros [groups, out]."""
    rows, columns = weight.shape
    groups = weight.reshape(rows, columns // group_size, group_size)
    low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
    top = 2 ** bits - 1
    scale = ((high - low) / top).to(dtype)
    zero = torch.round(-low / scale.float()).clamp(zero_from, top)
    codes = torch.round(groups / scale.float()[:, :, None] + zero[:, :, None]).clamp(0, top).reshape(rows, columns)
    return codes.to(torch.int64), scale.T.contiguous(), zero.T.to(torch.int64).contiguous()


def words(values):
    """64-bit numbers as the 32-bit words with the same bits."""
    return torch.from_numpy(values.numpy().astype(np.uint32).view(np.int32).copy())


def pack_rows(codes, bits):
    """[in, out] → [in · bits / 32, out], first in the lowest bits; a constant of GPTQModel's `pack`."""
    per = 32 // bits
    codes = torch.nn.functional.pad(codes, (0, 0, 0, -codes.shape[0] % per)).reshape(-1, per, codes.shape[1])
    return words(sum(codes[:, k] << (bits * k) for k in range(per)))


def pack_columns(codes, bits):
    return pack_rows(codes.T.contiguous(), bits).T.contiguous()


def gptq(weight, bits=4, group_size=32, version="gptq", act_order=False, dtype=torch.float16):
    rows, columns = weight.shape
    size = columns if group_size == -1 else group_size
    order = torch.arange(columns)
    if act_order:
        order = torch.randperm(columns, generator=torch.Generator().manual_seed(11))
    back = torch.argsort(order)
    # Zeros of 0, which the first version stores with a borrow, are among them.
    codes, scales, zeros = asymmetric(weight[:, order], bits, size, dtype)
    zeros[0, : min(rows, 4)] = torch.tensor([0, 3, 0, 2 ** bits - 1])[: min(rows, 4)]
    codes, g_idx = codes[:, back], (back // size).to(torch.int32)
    qzeros = pack_columns(zeros, bits)
    if version == "gptq":
        # GPTQModel's convert_gptq_v2_to_v1_format_module.
        qzeros = qzeros - (0x11111111 if bits == 4 else 0x01010101)
    index = g_idx.long()
    # TorchLinear.dequantize_weight of GPTQModel, before it rounds to 16 bits.
    values = (scales.float()[index] * (codes.T - zeros[index])).T.contiguous()
    config = {"quant_method": "gptq", "bits": bits, "group_size": group_size, "desc_act": act_order, "sym": False,
              "checkpoint_format": version}
    tensors = {"qweight": pack_rows(codes.T.contiguous(), bits), "qzeros": qzeros, "scales": scales, "g_idx": g_idx}
    return config, tensors, values


def awq(weight, group_size=32, dtype=torch.float16):
    codes, scales, zeros = asymmetric(weight, 4, group_size, dtype)
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def pack(matrix):
        eights = matrix.reshape(matrix.shape[0], -1, 8)
        return words(sum(eights[:, :, column] << (4 * place) for place, column in enumerate(order)))

    index = torch.arange(weight.shape[1]) // group_size
    values = ((codes.T - zeros[index]) * scales.float()[index]).T.contiguous()
    config = {"quant_method": "awq", "bits": 4, "group_size": group_size, "version": "gemm", "zero_point": True}
    return config, {"qweight": pack(codes.T.contiguous()), "qzeros": pack(zeros), "scales": scales}, values


# bitsandbytes ---------------------------------------------------------------------------------------------------------

def four_bits(weight, kind, nested, dtype=torch.float32, block_size=64):
    codes, state = bnb.quantize_4bit(weight.to(dtype), quant_type=kind, blocksize=block_size,
        compress_statistics=nested)
    rounded = bnb.dequantize_4bit(codes, state)
    tensors = {"weight": codes, **{f"weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}}
    state.dtype = torch.float32
    values = bnb.dequantize_4bit(codes, state)
    assert torch.equal(values.to(dtype), rounded)
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False,
              "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested, "bnb_4bit_compute_dtype": "float32"}
    return config, tensors, values


def eight_bits(weight):
    largest = weight.abs().amax(1)
    codes = torch.round(weight * 127 / largest[:, None]).to(torch.int8)
    values = bnb.int8_vectorwise_dequant(codes, largest)
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}
    return config, {"weight": codes, "SCB": largest, "weight_format": torch.tensor(0, dtype=torch.uint8)}, values


# The fixtures ---------------------------------------------------------------------------------------------------------

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32


def matrices():
    wide, odd = weights(16, 256, 1), weights(10, 36, 2)
    middle, large = weights(16, 96, 3), weights(96, 192, 4)
    blocky = weights(40, 192, 8)
    pack = "pack-quantized"
    group = lambda size, bits=4, symmetric=True: dict(num_bits=bits, strategy="group", group_size=size,
        symmetric=symmetric)
    channel = lambda bits, symmetric=True: dict(num_bits=bits, strategy="channel", symmetric=symmetric)
    yield "pack 4 bits, groups of 128, BF16", "q4z", *compressed(wide, pack, BF16, **group(128))
    yield "pack 4 bits, groups of 128 with zeros, F32", "q4z", *compressed(wide, pack, F32,
        **group(128, symmetric=False))
    yield "pack 4 bits, groups of 32 with zeros, F16", "q4m", *compressed(wide, pack, F16, **group(32, symmetric=False))
    yield "pack 4 bits, groups of 32, F32", "q8m", *compressed(middle, pack, F32, **group(32))
    yield "pack 4 bits, groups of 12 with zeros, F16", "F16", *compressed(odd, pack, F16, **group(12, symmetric=False))
    yield "pack 4 bits, channels with zeros, BF16", "q4z", *compressed(wide, pack, BF16, **channel(4, False))
    yield "pack 8 bits, channels, F32", "q8z", *compressed(wide, pack, F32, **channel(8))
    yield "pack 8 bits, groups of 32 with zeros, BF16", "q8m", *compressed(middle, pack, BF16, **group(32, 8, False))
    yield "pack 8 bits, groups of 32 with zeros, F32", "F32", *compressed(middle, pack, F32, **group(32, 8, False))
    yield "pack 8 bits, channels of odd length, F32", "F32", *compressed(odd[:, :35].contiguous(), pack, F32,
        **channel(8, False))
    yield "pack 4 bits, g_idx, F16", "F16", *with_order(wide, F16, 32, True)
    yield "pack 4 bits, g_idx with zeros, F32", "F32", *with_order(middle, F32, 32, False)
    yield "int, channels, BF16", "q8z", *compressed(wide, "int-quantized", BF16, **channel(8))
    yield "int, one scale with a zero, F32", "q8z", *compressed(wide, "int-quantized", F32, num_bits=8,
        strategy="tensor", symmetric=False)
    yield "int, channels of 96, F32", "q8m", *compressed(middle, "int-quantized", F32, **channel(8))
    yield "float, channels, BF16", "fp8", *compressed(wide, "float-quantized", BF16, num_bits=8, type="float",
        strategy="channel", symmetric=True)
    yield "float, one scale, F32", "fp8", *compressed(wide, "float-quantized", F32, num_bits=8, type="float",
        strategy="tensor", symmetric=True)
    yield "float, blocks, F32", "fp8", *compressed(blocky, "float-quantized", F32, num_bits=8, type="float",
        strategy="block", block_structure=[32, 128], symmetric=True)
    yield "float, channels of odd length, BF16", "BF16", *compressed(odd, "float-quantized", BF16, num_bits=8,
        type="float", strategy="channel", symmetric=True)
    yield "FP8, blocks cut off at the edges", "fp8", *fp8(blocky, (32, 128))
    yield "FP8, whole blocks, BF16", "fp8", *fp8(blocky, (20, 64), BF16)
    yield "FP8, rows of odd length", "F32", *fp8(odd, (4, 8))
    yield "GPTQ, groups of 128", "q4z", *gptq(wide, 4, 128)
    yield "GPTQ 2, groups of 128", "q4z", *gptq(wide, 4, 128, "gptq_v2")
    yield "GPTQ, groups of 32", "q4m", *gptq(wide, 4, 32)
    yield "GPTQ, desc_act", "F16", *gptq(wide, 4, 32, act_order=True)
    yield "GPTQ, 8 bits, whole rows", "q8z", *gptq(wide, 8, -1)
    yield "GPTQ 2, 8 bits, groups of 32, BF16", "q8m", *gptq(wide, 8, 32, "gptq_v2", dtype=BF16)
    yield "GPTQ, rows of odd length", "F16", *gptq(weights(16, 36, 5), 4, 12)
    yield "AWQ, groups of 128", "q4z", *awq(wide, 128)
    yield "AWQ, groups of 32, BF16", "q4m", *awq(middle, 32, BF16)
    yield "NF4", "nf4", *four_bits(wide, "nf4", False)
    yield "NF4, nested, BF16", "nf4", *four_bits(large, "nf4", True, BF16)
    yield "NF4, nested, blocks across rows, F16", "F16", *four_bits(odd, "nf4", True, F16)
    yield "NF4, an odd number of elements, F32", "F32", *four_bits(odd[:5, :35].contiguous(), "nf4", False, F32)
    yield "NF4, blocks of 128", "nf4", *four_bits(weights(3, 192, 6), "nf4", False, F32, 128)
    yield "FP4, nested", "fp4", *four_bits(wide, "fp4", True)
    yield "8 bits of bitsandbytes", "q8z", *eight_bits(wide)
    yield "8 bits of bitsandbytes, rows of 96", "q8m", *eight_bits(middle)


def encoded(tensor):
    return base64.b64encode(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).decode()


MODELS = {
    "compressed-tensors-pack": lambda weight: compressed(weight, "pack-quantized", BF16, num_bits=4, strategy="group",
    group_size=32, symmetric=False),
    "compressed-tensors-float": lambda weight: compressed(weight, "float-quantized", F32, num_bits=8, type="float",
    strategy="channel", symmetric=True),
    "fp8": lambda weight: fp8(weight, (32, 64)),
    "gptq": lambda weight: gptq(weight, 4, -1),
    "gptq-order": lambda weight: gptq(weight, 4, 32, "gptq_v2", act_order=True),
    "awq": lambda weight: awq(weight, 64),
    "nf4": lambda weight: four_bits(weight, "nf4", True, BF16),
    "int8": eight_bits,
}


def write_models():
    sizes = dict(vocab_size=32, hidden_size=128, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                 num_key_value_heads=1, head_dim=32, max_position_embeddings=64, tie_word_embeddings=False)
    ids = [[1, 5, 9, 2, 31, 30, 7, 7, 12, 3], [4]]
    for name, quantize in MODELS.items():
        torch.manual_seed(3)
        model = LlamaForCausalLM(LlamaConfig(**sizes)).float()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.copy_(torch.randn_like(parameter) * 0.15)
                # What is not quantised is stored in 16 bits.
                parameter.copy_(parameter.half().float())
        tensors = {}
        with torch.no_grad():
            for module, layer in model.named_modules():
                if not isinstance(layer, torch.nn.Linear) or module == "lm_head":
                    continue
                config, own, values = quantize(layer.weight.detach())
                if name == "gptq-order":
                    # The library widens to the type of its scales.
                    values = values.half().float()
                layer.weight.copy_(values)
                tensors.update({f"{module}.{part}": tensor.contiguous() for part, tensor in own.items()})
            for full, parameter in model.named_parameters():
                module = full.removesuffix(".weight")
                if not any(each.startswith(f"{module}.") for each in tensors):
                    tensors[full] = parameter.detach().half().clone()
            logits = [model(torch.tensor([each])).logits[0].tolist() for each in ids]
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        plain = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **sizes, "rms_norm_eps": 1e-6,
                 "torch_dtype": "float16", "quantization_config": config}
        (folder / "config.json").write_text(json.dumps(plain, indent=1) + "\n")
        (folder / "logits.json").write_text(json.dumps({"ids": ids, "logits": logits}) + "\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    cases = []
    for name, dtype, config, tensors, values in matrices():
        assert values.dtype == F32, name
        cases.append({
            "name": name, "dtype": dtype, "config": config, "shape": list(values.shape),
            "tensors": {part: {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data": encoded(tensor)}
                        for part, tensor in tensors.items()},
            "values": encoded(values),
        })
    (OUT / "matrices.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    write_models()
