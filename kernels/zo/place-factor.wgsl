// Brings a factor that was drawn in f32 to its place: adds zeros after its rows and columns, or after each group of
// them (src/tensor/axis.ts), and stores it as factors are (zo/factors-*.wgsl).
//
// source: rows of plain_columns elements. placed: rows of column_quads quads, to_stride quads apart, from quad to_start
// on; what lies between them stays. The first row_width of every row_stride rows, and the first column_width of every
// column_stride columns, come from source. One invocation per quad, `count` in all.

struct Parameters {
  count: u32,
  row_width: u32,
  row_stride: u32,
  column_quads: u32,
  column_width: u32,
  column_stride: u32,
  plain_columns: u32,
  to_start: u32,
  to_stride: u32,
}

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> placed: array<FactorWord>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

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
  let row = index / parameters.column_quads;
  let quad = index % parameters.column_quads;
  let in_rows = row % parameters.row_stride;
  let plain_row = row / parameters.row_stride * parameters.row_width + in_rows;
  var value = vec4<f32>();
  for (var i = 0u; i < 4u; i++) {
    let column = quad * 4u + i;
    let in_columns = column % parameters.column_stride;
    if (in_rows < parameters.row_width && in_columns < parameters.column_width) {
      let plain_column = column / parameters.column_stride * parameters.column_width + in_columns;
      value[i] = source[plain_row * parameters.plain_columns + plain_column];
    }
  }
  placed[parameters.to_start + row * parameters.to_stride + quad] = factor_word(value);
}
