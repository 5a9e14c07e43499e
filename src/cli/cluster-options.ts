/**
 * How commands name the NATS server of a cluster.
 *
 * @module
 */

import type { ClusterAddress } from '../cluster/bus.ts';
import type { TextOption } from './option.ts';

export const clusterGroup = 'Cluster';

export const clusterOptions = [
  {
    name: 'cluster',
    type: 'text',
    placeholder: 'URL',
    description:
      'NATS server with JetStream by which machines share a run: nats://[user:password@]host:4222 or tls://…',
    group: clusterGroup,
  },
  {
    name: 'cluster-credentials',
    type: 'text',
    placeholder: 'FILE',
    description: 'NATS credentials file',
    group: clusterGroup,
  },
  {
    name: 'cluster-prefix',
    type: 'text',
    placeholder: 'NAME',
    description: 'what the names of subjects and streams begin with',
    default: 'subzero',
    group: clusterGroup,
  },
] as const satisfies readonly TextOption[];

/** The server, if one is named. */
export function clusterAddress(values: {
  readonly cluster: string | undefined;
  readonly clusterCredentials: string | undefined;
  readonly clusterPrefix: string;
}): ClusterAddress | undefined {
  if (values.cluster === undefined) return undefined;
  const { clusterCredentials: credentials } = values;
  return { url: values.cluster, prefix: values.clusterPrefix, ...(credentials === undefined ? {} : { credentials }) };
}
