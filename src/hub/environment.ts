/**
 * The environment variables of the Hugging Face Hub, as its Python library reads them.
 *
 * @see https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 * @module
 */

import { environmentVariables, homedir, join, readFile } from '../platform/index.ts';

export interface HubSettings {
  /** Address of the service, without a slash at the end. */
  endpoint: string;
  /** Sent to the endpoint alone, never to a host that it redirects to. */
  token?: string;
  /** The folder with a folder for each repository. */
  cacheDirectory: string;
  /** Whether nothing may be asked of the service. */
  offline: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Values of a switch that mean yes. */
const yes = ['1', 'on', 'yes', 'true'];

/**
 * HF_ENDPOINT, HF_TOKEN (or the file that `hf auth login` writes), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE and, below
 * them, XDG_CACHE_HOME.
 */
export async function hubSettings(environment: Environment = environmentVariables): Promise<HubSettings> {
  const home = (path: string): string => path.replace(/^~(?=$|[\\/])/, homedir());
  const cacheHome = environment.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = home(environment.HF_HOME || join(cacheHome, 'huggingface'));
  const tokenFile = home(environment.HF_TOKEN_PATH || join(folder, 'token'));
  const named = environment.HF_TOKEN || environment.HUGGING_FACE_HUB_TOKEN;
  const token = (named ?? (await readFile(tokenFile, 'utf8').catch(() => ''))).trim();
  return {
    endpoint: (environment.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    ...(token === '' ? {} : { token }),
    cacheDirectory: home(environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE || join(folder, 'hub')),
    offline: yes.includes((environment.HF_HUB_OFFLINE ?? '').toLowerCase()),
  };
}
