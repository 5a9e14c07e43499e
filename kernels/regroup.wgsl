// Pieces of groups in another order: all first pieces, then all second ones, then all third ones.
//
// x: [rows, x_stride] f32, groups of group_width elements one behind the other, of which the pieces begin at `start`
// and have size_0, size_1 and size_2 elements. y: [rows, columns], zeros behind groups · (size_0 + size_1 + size_2).
// One invocation per element of y.

struct Parameters {
  elements: u32,
  columns: u32,
  x_stride: u32,
  groups: u32,
  group_width: u32,
  start: u32,
  size_0: u32,
  size_1: u32,
  size_2: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.elements) {
    return;
  }
  var place = index % parameters.columns;
  var start = parameters.start;
  var size = parameters.size_0;
  if (place >= parameters.groups * size) {
    place -= parameters.groups * size;
    start += size;
    size = parameters.size_1;
    if (place >= parameters.groups * size) {
      place -= parameters.groups * size;
      start += size;
      size = parameters.size_2;
    }
  }
  if (place >= parameters.groups * size) {
    y[index] = 0.0;
    return;
  }
  let source = place / size * parameters.group_width + start + place % size;
  y[index] = x[index / parameters.columns * parameters.x_stride + source];
}
