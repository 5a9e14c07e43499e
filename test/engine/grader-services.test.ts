import { afterAll, beforeAll, expect, test } from 'vitest';
import { EngineGraders } from '../../src/engine/grader-services.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { grade, parseGrader } from '../../src/graders/index.ts';
import { removeTemporary, tinyModel } from '../train/tiny.ts';

let engine: LocalEngine;

beforeAll(async () => {
  engine = await LocalEngine.open();
});
afterAll(async () => {
  await engine.close();
  removeTemporary();
});

const idsOf = async (): Promise<string[]> => (await engine.models()).map(({ id }) => id);

test('judges are folders of models, each loaded once and freed at the end', async () => {
  const model = tinyModel();
  const judges = new EngineGraders(engine);
  const grader = await parseGrader({
    ...{ type: 'text_similarity', name: 'near', evaluation_metric: 'cosine', model },
    ...{ input: '{{sample.output_text}}', reference: '{{item.answer}}' },
  });
  const rewardOf = async (outputText: string) => grade(grader, { outputText, item: { answer: 'a good film' } }, judges);
  const [same, other] = await Promise.all([rewardOf('a good film'), rewardOf('12345 !')]);
  expect(same).toMatchObject({ failures: [] });
  expect(same.reward).toBeCloseTo(1, 5);
  expect(other.reward).toBeLessThan(0.999);
  expect(await idsOf()).toEqual([model]);
  await judges.close();
  expect(await idsOf()).toEqual([]);
});

test('a model that was loaded before stays, and a judge that is not there is a failure of the grade', async () => {
  const model = tinyModel();
  await engine.loadModel({ id: 'here', path: model });
  const judges = new EngineGraders(engine);
  expect(await judges.embed('here', ['a'])).toHaveLength(1);
  const grader = await parseGrader({
    ...{ type: 'score_model', name: 'judge', model: '/no/such/folder' },
    input: [{ role: 'user', content: 'Is it {{sample.output_text}}?' }],
  });
  const { reward, failures } = await grade(grader, { outputText: 'good', item: {} }, judges);
  expect({ reward, kind: failures[0]?.kind }).toEqual({ reward: 0, kind: 'model_grader_server_error' });
  await judges.close();
  expect(await idsOf()).toEqual(['here']);
});
