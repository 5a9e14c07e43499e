/**
 * Who takes part in a job that a cluster trains, as metrics.
 *
 * @module
 */

import type { ClusterMember, TrainEvent } from '../../src/engine/types.ts';
import type { Metrics } from '../metrics.ts';

export type ClusterReport = Extract<TrainEvent, { type: 'cluster' }>;

/** Workers of the metrics page, so that it stays bounded; names come from workers. */
const mostSeries = 256;

const gauges: readonly [name: string, help: string, value: (member: ClusterMember) => number][] = [
  ['steps_per_second', 'Its part of the steps a second of the running job.', (member) => member.stepsPerSecond],
  ['tokens_per_second', 'Tokens that it scores a second.', (member) => member.tokensPerSecond],
  ['lag_steps', 'Steps since the last that it scored a shard of.', (member) => member.lag],
  ['waiting_ratio', 'Share of the time in which it scored nothing that was used.', (member) => member.waitingShare],
  ['bytes_per_step', 'Bytes of its tasks and answers a step.', (member) => member.bytesPerStep],
  ['refused_answers', 'Answers that were refused.', (member) => member.refused],
];

/** Sets the gauges of those who take part. @param report nothing when the job has ended */
export function measureCluster(metrics: Metrics, report: ClusterReport | undefined): void {
  const members = report?.members.slice(0, mostSeries) ?? [];
  for (const [name, help, value] of gauges) {
    const series = members.map((member) => ({
      labels: { worker: member.name, adapter: member.adapter },
      value: value(member),
    }));
    metrics.replace(`subzero_cluster_worker_${name}`, help, series);
  }
  metrics.set('subzero_cluster_workers', 'Machines that train the running job.', members.length);
  metrics.set('subzero_cluster_bytes_per_step', 'Bytes on the wire a step.', report?.bytesPerStep ?? 0);
}
