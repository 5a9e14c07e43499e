// Fills a rows × columns matrix with independent standard normal numbers. Element (i, j) uses the counter element i ·
// columns + j for every layout. It is stored at matrix_start + i · row_stride + j · column_stride, so that U can be
// stored row by row and V transposed.

struct Parameters {
  seed_low: u32,
  seed_high: u32,
  tensor: u32,
  period: u32,
  purpose: u32,
  rows: u32,
  columns: u32,
  row_stride: u32,
  column_stride: u32,
  matrix_start: u32,
}

@group(0) @binding(0) var<storage, read_write> matrix: array<f32>;
@group(0) @binding(1) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let quad = (group.y * groups.x + group.x) * 64u + lane;
  let count = parameters.rows * parameters.columns;
  if (quad * 4u >= count) {
    return;
  }
  let values = gaussian_quad(
    vec4<u32>(quad, parameters.tensor, parameters.period, parameters.purpose << 24u),
    vec2<u32>(parameters.seed_low, parameters.seed_high),
  );
  for (var lane_element = 0u; lane_element < 4u; lane_element++) {
    let element = quad * 4u + lane_element;
    if (element < count) {
      let i = element / parameters.columns;
      let j = element % parameters.columns;
      matrix[parameters.matrix_start + i * parameters.row_stride + j * parameters.column_stride] = values[lane_element];
    }
  }
}
