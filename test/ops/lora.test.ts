import { describe } from 'vitest';
import { loraCase, loraShapes } from '../../src/bench/cases/lora.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('LoRA', () => {
  testCases(gpu, loraShapes.map(loraCase));
});
