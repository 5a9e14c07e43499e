import type { Engine } from '../engine/types.ts';
import { type DeviceChoice, deviceOptions } from './common-options.ts';
import type { Host } from './host.ts';

/** Opens the engine, hands it to `action`, and closes it whatever happens. */
export async function withEngine<Result>(
  context: Host & { readonly options: DeviceChoice },
  action: (engine: Engine) => Promise<Result>,
): Promise<Result> {
  const engine = await context.openEngine(deviceOptions(context.options));
  try {
    return await action(engine);
  } finally {
    await engine.close();
  }
}
