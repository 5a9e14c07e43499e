// Up to three runs of elements beside each other: y[row] = a[row], b[row], c[row].
//
// Element i of a's row lies at offset_0 + row · stride_0 + i, those of b and c alike; a row has size_0 and size_1
// elements of a and b, and those of c up to `columns`. y: [rows, columns] f32. One invocation per element of y.

struct Parameters {
  elements: u32,
  columns: u32,
  size_0: u32,
  size_1: u32,
  offset_0: u32,
  offset_1: u32,
  offset_2: u32,
  stride_0: u32,
  stride_1: u32,
  stride_2: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

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
  let row = index / parameters.columns;
  var place = index % parameters.columns;
  if (place < parameters.size_0) {
    y[index] = a[parameters.offset_0 + row * parameters.stride_0 + place];
    return;
  }
  place -= parameters.size_0;
  if (place < parameters.size_1) {
    y[index] = b[parameters.offset_1 + row * parameters.stride_1 + place];
    return;
  }
  y[index] = c[parameters.offset_2 + row * parameters.stride_2 + place - parameters.size_1];
}
