// Computes rows of a stored weight, in f32, as one or two probes of a query see them: out[c] = W + scale_c · d, where d
// is the direction (zo/direction.wgsl). W itself is only read.
//
// weight: rows of 4·width_quads stored elements (weights/*.wgsl). The launch takes `rows` of them from row weight_row
// of the bound buffer on, which is row output_row of the whole weight. log_curvature: ln H of the same rows, f32, from
// row curvature_row of its buffer on; unused unless the direction is curved. out: copies × [rows, 4·width_quads]; the
// second copy uses scale_second. z is drawn once for both. A scale of 0 gives the weight as it is.

struct Parameters {
  width_quads: u32,
  rows: u32,
  weight_row: u32,
  curvature_row: u32,
  output_row: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  query: u32,
  copies: u32,
  scale: f32,
  scale_second: f32,
  threshold: f32,
  // How the weight is padded (random/padded-quads.wgsl).
  row_width: u32,
  row_stride: u32,
  column_width: u32,
  column_stride: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read> log_curvature: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

fn write(index: u32, count: u32, z: vec4<f32>) {
  let value = weight_quad(parameters.weight_row * parameters.width_quads + index);
  let curvature = log_curvature[parameters.curvature_row * parameters.width_quads + index];
  let along = direction(z, value, parameters.threshold, curvature);
  out[index] = fma(vec4<f32>(parameters.scale), along, value);
  if (parameters.copies > 1u) {
    out[count + index] = fma(vec4<f32>(parameters.scale_second), along, value);
  }
}

// An invocation takes two quads; see gaussian_quads.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 128u + lane;
  let count = parameters.rows * parameters.width_quads;
  if (index >= count) {
    return;
  }
  var z = TwoQuads();
  if (parameters.scale != 0.0) {
    let element = parameters.output_row * parameters.width_quads + index;
    let counter = vec4<u32>(element, parameters.tensor, parameters.step, (PURPOSE_NOISE << 24u) | parameters.query);
    z = noise_quads(counter, element + 64u, vec2<u32>(parameters.seed_low, parameters.seed_high));
  }
  write(index, count, z.first);
  if (index + 64u < count) {
    write(index + 64u, count, z.second);
  }
}
