/** A process that pulls a model, of which tests start several. */

import { modelFiles, resolveRepository } from '../../src/hub/index.ts';

const [id] = process.argv.slice(2);
const { directory, downloadedBytes } = await resolveRepository({
  type: 'model',
  id: id!,
  files: modelFiles,
  onProgress: ({ bytes }) => process.send?.({ bytes }),
  times: { lookMilliseconds: 20, retryMilliseconds: 20 },
});
process.stdout.write(JSON.stringify({ directory, downloadedBytes }));
