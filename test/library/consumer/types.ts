/** Types of the four doors in a project of one's own; each `@ts-expect-error` fails where one is lost. */

import { type Engine, openEngine, type SubzeroError, type TrainEvent } from 'subzero-webgpu';
import { type Gpu, SubzeroError as RuntimeError } from 'subzero-webgpu/runtime';
import { openSafetensors, type TensorEntry } from 'subzero-webgpu/safetensors';
import { createApplication, type RunningServer, serve } from 'subzero-webgpu/server';

export async function engineTypes(engine: Engine): Promise<number> {
  // @ts-expect-error a backend that does not exist
  await openEngine({ backend: 'cuda' });
  // @ts-expect-error a model has a name
  await engine.loadModel({ path: 'a' });
  // @ts-expect-error settings are known by name
  engine.train({ model: 'a', data: { file: 'b' }, out: 'c', configuration: { learningRat: 1 } });
  const event: TrainEvent | undefined = undefined as TrainEvent | undefined;
  return event?.type === 'step' ? event.loss : 0;
}

export async function serverTypes(engine: Engine): Promise<RunningServer> {
  const application = await createApplication(engine, { models: [] });
  // @ts-expect-error an answer is no text
  const answer: string = await application.fetch(new Request('http://localhost/health'));
  // @ts-expect-error without an engine
  await serve({ models: [] });
  return serve({ engine, models: [], port: Number(answer) });
}

export async function tensorTypes(): Promise<TensorEntry | undefined> {
  const file = await openSafetensors('a');
  // @ts-expect-error names are texts
  await file.read(1);
  return file.tensors.get('a');
}

export async function runtimeTypes(gpu: Gpu): Promise<void> {
  // @ts-expect-error every buffer counts as something
  gpu.allocate(4, 'nothing', 'x');
  const device: GPUDevice = gpu.device;
  // @ts-expect-error limits are numbers
  const limit: string = device.limits.maxBufferSize;
  throw new RuntimeError('gpu', limit) satisfies SubzeroError;
}
