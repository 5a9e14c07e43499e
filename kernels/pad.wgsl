// Copies a matrix and adds zeros after its rows and columns, or after each group of them (src/tensor/axis.ts).
//
// source: copy c without padding, rows of plain_columns elements, at from_offset + c · from_stride. padded: the copies
// one after the other from to_offset on, each [rows, columns]. The first row_width of every row_stride rows, and the
// first column_width of every column_stride columns, come from source. One invocation per element, `count` in all.

struct Parameters {
  count: u32,
  rows: u32,
  row_width: u32,
  row_stride: u32,
  columns: u32,
  column_width: u32,
  column_stride: u32,
  plain_columns: u32,
  from_offset: u32,
  from_stride: u32,
  to_offset: u32,
}

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> padded: array<f32>;
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
  let column = index % parameters.columns;
  let row = (index / parameters.columns) % parameters.rows;
  let copy = index / (parameters.columns * parameters.rows);
  let in_rows = row % parameters.row_stride;
  let in_columns = column % parameters.column_stride;
  var value = 0.0;
  if (in_rows < parameters.row_width && in_columns < parameters.column_width) {
    let plain_row = row / parameters.row_stride * parameters.row_width + in_rows;
    let plain_column = column / parameters.column_stride * parameters.column_width + in_columns;
    value = source[parameters.from_offset + copy * parameters.from_stride + plain_row * parameters.plain_columns
      + plain_column];
  }
  padded[parameters.to_offset + index] = value;
}
