"""Loads adapters that this project exported, of every supported type, with PEFT on the model of transformers, and
compares the logits.

    SUBZERO_PEFT_EXPORTS=FOLDER npx vitest run test/tuning/peft-exports.test.ts
    python test/reference/peft_exports.py FOLDER

Prints a line for each adapter and exits with 1 if one of them differs, or if PEFT warns of it.
"""

import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

import torch
import transformers
from peft import PeftModel
from peft_families import loaded

# Our logits are those of float32; of what the adapter moved them, a part that no wrong layer or factor could hide in.
TOLERANCE, PART = 1e-4, 1e-3
# Of what is right all the same: the pair of a tied head has the product of the embedding's.
KNOWN = "Model has `tie_word_embeddings=True` and a tied layer is part of the adapter"


@torch.no_grad()
def compare(directory, adapter):
    """How far the logits are from ours, how far the adapter moved them, how far float32 is from float64, and what PEFT
    warned of."""
    facts = json.loads((adapter / "logits.json").read_text())
    config = json.loads((directory / "config.json").read_text())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(loaded(directory, config), adapter,
            autocast_adapter_dtype=False).double().eval()
        logits = model(input_ids=torch.tensor([facts["ids"]])).logits[0]
        single = model.float()(input_ids=torch.tensor([facts["ids"]])).logits[0]
    ours, before = (torch.tensor(facts[key], dtype=torch.float64) for key in ("rows", "base"))
    said = {str(each.message).splitlines()[0][:150]
        for each in caught if "adapter" in str(each.message) or "keys" in str(each.message)}
    said = {line for line in said if not line.startswith(KNOWN)}
    return [float(each.abs().max()) for each in (logits - ours, ours - before, logits - single)] + [said]


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    failed = 0
    for directory in sorted(Path(sys.argv[1]).iterdir()):
        for adapter in sorted(directory.glob("*/logits.json")):
            name = f"{directory.name}/{adapter.parent.name}"
            try:
                off, moved, rounding, said = compare(directory, adapter.parent)
                fine = off < max(TOLERANCE, PART * moved) and not said
                print(f"{'ok  ' if fine else 'BAD '} {name}: {off:.1e} of {moved:.1e}, PEFT in float32 {rounding:.1e}",
                    *said, flush=True)
            except Exception as error:
                fine = False
                print(f"BAD  {name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            failed += not fine
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
