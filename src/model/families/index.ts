/**
 * The families of checkpoints by model type.
 *
 * @module
 */

import { apertus } from './apertus.ts';
import { arcee } from './arcee.ts';
import { bert } from './bert.ts';
import { bloom } from './bloom.ts';
import { cohere, cohere2 } from './cohere.ts';
import { cwm } from './cwm.ts';
import { dots1 } from './dots1.ts';
import { ernie45 } from './ernie4-5.ts';
import { ernie45Moe } from './ernie4-5-moe.ts';
import { eurobert } from './eurobert.ts';
import { exaone } from './exaone.ts';
import { exaone4 } from './exaone4.ts';
import { falcon } from './falcon.ts';
import type { Family } from './family.ts';
import { gemma } from './gemma.ts';
import { gemma2, vaultgemma } from './gemma2.ts';
import { gemma3, gemma3Text } from './gemma3.ts';
import { gemma4, gemma4Text, gemma4Unified, gemma4UnifiedText } from './gemma4.ts';
import { glm, glm4 } from './glm.ts';
import { glm4Moe } from './glm4-moe.ts';
import { gptBigcode } from './gpt-bigcode.ts';
import { gptNeo } from './gpt-neo.ts';
import { gptNeox } from './gpt-neox.ts';
import { gptOss } from './gpt-oss.ts';
import { gpt2 } from './gpt2.ts';
import { gptj } from './gptj.ts';
import { granite } from './granite.ts';
import { graniteSwa } from './granite-swa.ts';
import { graniteMoe, graniteMoeHybrid, graniteMoeShared } from './granitemoe.ts';
import { helium } from './helium.ts';
import { hunyuanV1Dense } from './hunyuan.ts';
import { hunyuanV1Moe } from './hunyuan-moe.ts';
import { hyperclovax } from './hyperclovax.ts';
import { internlm3 } from './internlm3.ts';
import { jais2 } from './jais2.ts';
import { lfm2 } from './lfm2.ts';
import { lfm2Moe } from './lfm2-moe.ts';
import { llama } from './llama.ts';
import { ministral3, mistral3 } from './ministral3.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { modernbert } from './modernbert.ts';
import { mpt } from './mpt.ts';
import { nanochat } from './nanochat.ts';
import { nemotron } from './nemotron.ts';
import { olmo } from './olmo.ts';
import { olmoHybrid } from './olmo-hybrid.ts';
import { olmo2 } from './olmo2.ts';
import { olmo3 } from './olmo3.ts';
import { olmoe } from './olmoe.ts';
import { opt } from './opt.ts';
import { phi } from './phi.ts';
import { phi3 } from './phi3.ts';
import { phimoe } from './phimoe.ts';
import { qwen2 } from './qwen2.ts';
import { qwen2Moe } from './qwen2-moe.ts';
import { qwen3 } from './qwen3.ts';
import { qwen35, qwen35Text } from './qwen3-5.ts';
import { qwen35Moe, qwen35MoeText } from './qwen3-5-moe.ts';
import { qwen3Moe } from './qwen3-moe.ts';
import { qwen3Next } from './qwen3-next.ts';
import { roberta, xlmRoberta } from './roberta.ts';
import { seedOss } from './seed-oss.ts';
import { smollm3 } from './smollm3.ts';
import { stablelm } from './stablelm.ts';
import { starcoder2 } from './starcoder2.ts';

export const families: Readonly<Record<string, Family>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  olmo2,
  seed_oss: seedOss,
  opt,
  phi3,
  gpt2,
  gpt_neox: gptNeox,
  starcoder2,
  phi,
  stablelm,
  cohere,
  cohere2,
  glm,
  glm4,
  falcon,
  gpt_bigcode: gptBigcode,
  gptj,
  gpt_neo: gptNeo,
  gemma3_text: gemma3Text,
  gemma3,
  gemma2,
  gemma,
  granite,
  olmo3,
  ministral3,
  mistral3,
  ministral: mistral,
  exaone4,
  hunyuan_v1_dense: hunyuanV1Dense,
  hunyuan_v1_moe: hunyuanV1Moe,
  arcee,
  nanochat,
  cwm,
  olmo,
  helium,
  ernie4_5: ernie45,
  hyperclovax,
  vaultgemma,
  nemotron,
  lfm2,
  qwen3_5_text: qwen35Text,
  qwen3_5: qwen35,
  qwen3_5_moe_text: qwen35MoeText,
  qwen3_5_moe: qwen35Moe,
  qwen3_next: qwen3Next,
  qwen3_moe: qwen3Moe,
  mixtral,
  olmoe,
  qwen2_moe: qwen2Moe,
  gpt_oss: gptOss,
  granitemoe: graniteMoe,
  granitemoeshared: graniteMoeShared,
  granitemoehybrid: graniteMoeHybrid,
  granite_swa: graniteSwa,
  lfm2_moe: lfm2Moe,
  ernie4_5_moe: ernie45Moe,
  phimoe,
  glm4_moe: glm4Moe,
  dots1,
  olmo_hybrid: olmoHybrid,
  roberta,
  'xlm-roberta': xlmRoberta,
  bert,
  modernbert,
  eurobert,
  internlm3,
  exaone,
  jais2,
  bloom,
  mpt,
  apertus,
  gemma4_text: gemma4Text,
  gemma4,
  gemma4_unified_text: gemma4UnifiedText,
  gemma4_unified: gemma4Unified,
};
