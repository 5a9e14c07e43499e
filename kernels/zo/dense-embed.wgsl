// Embedding of densely perturbed weights: y[i] = W[id_i] + scale_p · d[id_i], for row i of probe p = i /
// rows_per_probe. The direction d (zo/direction.wgsl) is computed only for the rows that are looked up.
//
// W: one part of the table, as in embed.wgsl. This launch takes the ids row_start … row_start + rows_here − 1, which
// begin at row weight_row of the bound buffer. log_curvature: as in zo/dense-weight.wgsl. probes[first_probe + p]:
// (scale as f32 bits, query). The id of row i is ids[i mod input_rows]. ACCUMULATE adds to y (position embeddings).
// One workgroup per row, one quad per invocation.

struct Parameters {
  rows: u32,
  width_quads: u32,
  row_start: u32,
  rows_here: u32,
  weight_row: u32,
  curvature_row: u32,
  rows_per_probe: u32,
  input_rows: u32,
  first_probe: u32,
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  step: u32,
  threshold: f32,
  // How the weight is padded (random/padded-quads.wgsl).
  row_width: u32,
  row_stride: u32,
  column_width: u32,
  column_stride: u32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> log_curvature: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= parameters.rows) {
    return;
  }
  let id = ids[row % parameters.input_rows];
  let local_id = id - parameters.row_start;
  if (id < parameters.row_start || local_id >= parameters.rows_here) {
    return;
  }
  let probe = probes[parameters.first_probe + row / parameters.rows_per_probe];
  let scale = bitcast<f32>(probe.x);
  for (var quad = lane; quad < parameters.width_quads; quad += 64u) {
    var value = weight_quad((parameters.weight_row + local_id) * parameters.width_quads + quad);
    if (scale != 0.0) {
      let counter = vec4<u32>(
        id * parameters.width_quads + quad,
        parameters.tensor,
        parameters.step,
        (PURPOSE_NOISE << 24u) | probe.y,
      );
      let z = noise_quad(counter, vec2<u32>(parameters.seed_low, parameters.seed_high));
      let curvature = log_curvature[(parameters.curvature_row + local_id) * parameters.width_quads + quad];
      value = fma(vec4<f32>(scale), direction(z, value, parameters.threshold, curvature), value);
    }
    let index = row * parameters.width_quads + quad;
    if (ACCUMULATE) {
      value += y[index];
    }
    y[index] = value;
  }
}
