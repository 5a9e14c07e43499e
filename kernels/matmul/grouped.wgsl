// Matrix products of rows that lie in groups, each with a matrix of its own (experts), matmul/interface.wgsl. Nothing
// is padded: a group is cut into blocks of rows, the last of which may be short, and blocks are counted over all
// groups.
//
// starts[g] = the first row of group g, and its first block; one entry more tells where the last one ends. Group g is
// multiplied with matrix g / groups_per_matrix: its W lies weight_stride rows of the bound buffer behind that of the
// one before, and first_matrix is the first in that buffer; its U lies output_stride rows further on. A launch takes
// the blocks of the groups group_start to group_end, from first_block of them on. How many there are is known on the
// GPU alone, so that there may be more workgroups than blocks.

struct Parameters {
  columns: u32,
  inner_quads: u32,
  rank_quads: u32,
  q_start: u32,
  group_start: u32,
  group_end: u32,
  groups_per_matrix: u32,
  first_matrix: u32,
  weight_stride: u32,
  output_stride: u32,
  weight_row: u32,
  output_row: u32,
  y_stride: u32,
  column_start: u32,
  first_block: u32,
  weight_scale: f32,
}

@group(0) @binding(6) var<storage, read> starts: array<vec2<u32>>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

fn span_of(block: u32, block_rows: u32) -> Span {
  let place = starts[parameters.group_start].y + parameters.first_block + block;
  if (place >= starts[parameters.group_end].y) {
    return Span(0u, 0u, 0u, 0u, 0u);
  }
  // The last group that begins at or before the block: those before it with the same beginning are empty.
  var low = parameters.group_start;
  var high = parameters.group_end;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (starts[middle].y <= place) {
      low = middle;
    } else {
      high = middle;
    }
  }
  let matrix = low / parameters.groups_per_matrix;
  return Span(
    starts[low].x,
    starts[low + 1u].x - starts[low].x,
    parameters.weight_row + (matrix - parameters.first_matrix) * parameters.weight_stride,
    parameters.output_row + matrix * parameters.output_stride,
    place - starts[low].y,
  );
}

fn inner_start(slice: u32) -> u32 {
  return 0u;
}

fn inner_end(slice: u32) -> u32 {
  return parameters.inner_quads;
}

// Epilogue of one element, given its complete sum.
fn write(sum: f32, row: u32, column: u32, slice: u32) {
  y[row * parameters.y_stride + parameters.column_start + column] = activate(sum);
}
