import { describe } from 'vitest';
import {
  addCase,
  addShapes,
  gateByPartCase,
  gateByPartShapes,
  gateCase,
  gatePackedCase,
  gateShapes,
  gatherCase,
  gatherShapes,
  labelLossCase,
  labelLossShapes,
  regroupCase,
  regroupShapes,
  scaleCase,
  scaleShapes,
  splitCase,
  splitShapes,
  storeCase,
} from '../../src/bench/cases/rows.ts';
import { openTestGpu, testCases } from '../support/gpu.ts';

const gpu = openTestGpu();

describe('gatherRows', () => {
  testCases(gpu, gatherShapes.map(gatherCase));
});

describe('storeRows', () => {
  testCases(gpu, gatherShapes.map(storeCase));
});

describe('gate', () => {
  testCases(gpu, gateShapes.map(gateCase));
  testCases(gpu, gateShapes.map(gatePackedCase));
  testCases(gpu, gateByPartShapes.map(gateByPartCase));
  testCases(gpu, addShapes.map(addCase));
  testCases(gpu, scaleShapes.map(scaleCase));
});

describe('split', () => {
  testCases(gpu, splitShapes.map(splitCase));
});

describe('regroup', () => {
  testCases(gpu, regroupShapes.map(regroupCase));
});

describe('label loss', () => {
  testCases(gpu, labelLossShapes.map(labelLossCase));
});
