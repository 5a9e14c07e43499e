/**
 * The number of workgroups of a launch.
 *
 * @module
 */

/** Workgroups per dimension that every WebGPU adapter allows. */
const maxWorkgroups = 65_535;

/** Spreads a one-dimensional number of workgroups over x and y; kernels compute the index from both. */
export function spread(count: number): [number, number] {
  if (count <= maxWorkgroups) return [Math.max(1, count), 1];
  const y = Math.ceil(count / maxWorkgroups);
  return [Math.ceil(count / y), y];
}

/** Invocations per workgroup of the element-wise kernels. */
const lanes = 64;

/** Number of workgroups for one invocation per element. */
export function perElement(count: number): [number, number] {
  return spread(Math.ceil(count / lanes));
}
