// Takes apart two runs of columns that lie in turns in x: head by head, the first run goes to one result and the second
// to the other. x: rows · heads pairs of runs of width_quads vectors; `count` vectors in either result.

struct Parameters {
  count: u32,
  width_quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> second: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.count) {
    return;
  }
  let width = parameters.width_quads;
  let source = index / width * 2u * width + index % width;
  first[index] = x[source];
  second[index] = x[source + width];
}
