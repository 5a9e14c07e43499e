import { formatBytes, plural } from '../../format.ts';
import { modelFiles, theseFiles } from '../../hub/choice.ts';
import { parseRepositoryName } from '../../hub/repository.ts';
import { defineCommand } from '../command.ts';
import { configOption, jsonOption, quietOption } from '../common-options.ts';
import { offlineOption, pull } from '../hub-option.ts';
import { requireOption } from '../require-option.ts';
import { UsageError } from '../usage-error.ts';

export const pullCommand = defineCommand({
  name: 'pull',
  summary: 'Download a model or an adapter from the Hugging Face Hub, or bring it up to date',
  usage: ['pull ORG/NAME[@REVISION][:FILE] [options]'],
  details: [
    'It lies in the cache that Python programs use too (HF_HOME, HF_HUB_CACHE). Only what is read comes: ' +
      'configuration, tokenizer, chat templates, safetensors. A download that was cut goes on where it ended, and ' +
      'every file is checked against its checksum.',
    'Other commands take ORG/NAME in place of a folder and download it by themselves. HF_TOKEN opens private and ' +
      'gated models, HF_ENDPOINT names another hub.',
  ],
  operands: ['model'],
  options: [
    {
      name: 'model',
      type: 'text',
      placeholder: 'ORG/NAME',
      description: 'repository, with a branch, a tag or a commit behind @; the name of the option can be left out',
    },
    { ...offlineOption, description: 'download nothing; say where the model lies in the cache' },
    jsonOption,
    quietOption,
    configOption,
  ],
  examples: [
    { text: 'a model', command: 'subzero pull HuggingFaceTB/SmolLM2-135M' },
    { text: 'as it was at a commit', command: 'subzero pull org/name@0123456789abcdef0123456789abcdef01234567' },
  ],
  async run(context) {
    const { options } = context;
    const given = requireOption(options.model, 'pull', 'model ORG/NAME');
    const name = parseRepositoryName(given);
    if (!name) {
      throw new UsageError(`pull takes ORG/NAME[@REVISION][:FILE], a name on the Hugging Face Hub; got "${given}"`, {
        parameter: 'model',
      });
    }
    const files = name.file === undefined ? modelFiles : theseFiles(name.file);
    const result = await pull(context, given, files, { refresh: true });
    const { directory, files: found, downloadedBytes } = result;
    if (options.json) {
      context.standardOutput.write(`${JSON.stringify(result)}\n`);
      return 0;
    }
    const came = downloadedBytes === 0 ? 'everything was here' : `${formatBytes(downloadedBytes)} downloaded`;
    if (!options.quiet) context.standardError.write(`${plural(found.length, 'file')}, ${came}\n`);
    context.standardOutput.write(`${directory}\n`);
    return 0;
  },
});
