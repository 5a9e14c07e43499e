/**
 * How commands name the NATS server of a cluster, and what it is shown to let us in: by options, and by the variables
 * of the environment that NATS's own command line reads.
 *
 * @module
 */

import type { ClusterAddress } from '../cluster/address.ts';
import type { Host } from './host.ts';
import type { FlagOption, TextOption } from './option.ts';
import { requireOption } from './require-option.ts';

export const clusterGroup = 'Cluster';

export const clusterOptions = [
  {
    name: 'cluster',
    type: 'text',
    placeholder: 'URL',
    description:
      'NATS server with JetStream by which machines share a run: nats://[user:password@]host:4222 or tls://…; ' +
      'several servers of one cluster with commas between them',
    group: clusterGroup,
  },
  {
    name: 'cluster-credentials',
    type: 'text',
    placeholder: 'FILE',
    description: 'NATS credentials file of a user (.creds)',
    defaultText: 'NATS_CREDS',
    group: clusterGroup,
  },
  {
    name: 'cluster-nkey',
    type: 'text',
    placeholder: 'FILE',
    description: "file with the seed of a user's nkey",
    defaultText: 'NATS_NKEY',
    group: clusterGroup,
  },
  {
    name: 'cluster-ca',
    type: 'text',
    placeholder: 'FILE',
    description: "PEM file of the authorities that the server's certificate is trusted by",
    defaultText: "NATS_CA, or the system's",
    group: clusterGroup,
  },
  {
    name: 'cluster-certificate',
    type: 'text',
    placeholder: 'FILE',
    description: 'PEM file of the certificate that the server is shown',
    defaultText: 'NATS_CERT',
    group: clusterGroup,
  },
  {
    name: 'cluster-key',
    type: 'text',
    placeholder: 'FILE',
    description: 'PEM file of its key',
    defaultText: 'NATS_KEY',
    group: clusterGroup,
  },
  {
    name: 'cluster-tls-first',
    type: 'flag',
    description: 'begin TLS before the server has said anything, where it has handshake_first',
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
] as const satisfies readonly (TextOption | FlagOption)[];

/** Names of the options that mean nothing without a server. */
export const clusterDetails = clusterOptions.map(({ name }) => name).filter((name) => name !== 'cluster');

/** What the options say. */
interface ClusterValues {
  readonly cluster: string | undefined;
  readonly clusterCredentials: string | undefined;
  readonly clusterNkey: string | undefined;
  readonly clusterCa: string | undefined;
  readonly clusterCertificate: string | undefined;
  readonly clusterKey: string | undefined;
  readonly clusterTlsFirst: boolean;
  readonly clusterPrefix: string;
}

/** The server, which a command needs. @throws UsageError where neither --cluster nor NATS_URL names one */
export function requireCluster(
  values: ClusterValues,
  environment: Host['environment'],
  command: string,
): ClusterAddress {
  const cluster = requireOption(values.cluster ?? (environment.NATS_URL || undefined), command, 'cluster URL');
  return clusterAddress({ ...values, cluster }, environment)!;
}

/** The server, if one is named. */
export function clusterAddress(values: ClusterValues, environment: Host['environment']): ClusterAddress | undefined {
  if (values.cluster === undefined) return undefined;
  const { clusterCredentials: credentials, clusterNkey: nkey } = values;
  const variable = (name: string): string | undefined => environment[`NATS_${name}`] || undefined;
  // Who we are is said in one place: an option or the URL, or else variables.
  const said = credentials !== undefined || nkey !== undefined || values.cluster.includes('@');
  const named = {
    credentials: said ? credentials : variable('CREDS'),
    nkey: said || variable('CREDS') !== undefined ? nkey : variable('NKEY'),
    user: variable('USER'),
    password: variable('PASSWORD'),
    token: variable('TOKEN'),
    ca: values.clusterCa ?? variable('CA'),
    certificate: values.clusterCertificate ?? variable('CERT'),
    key: values.clusterKey ?? variable('KEY'),
  };
  const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
  return {
    ...{ url: values.cluster, prefix: values.clusterPrefix, ...given },
    ...(values.clusterTlsFirst ? { tlsFirst: true } : {}),
  };
}
