// matmul, tile: the variant for GPUs and more than a few rows. A workgroup of 16 × 16 invocations computes a tile of y
// of 16·THREAD_ROWS rows × 16·THREAD_COLUMNS columns. x and W pass through workgroup memory, four quads deep at a time.
// Each invocation keeps THREAD_ROWS × THREAD_COLUMNS sums in registers (8 × 8 for large shapes: 64 fma per 16 reads of
// workgroup memory).
//
// An invocation's rows and columns are 16 apart, so that neighbouring lanes read neighbouring words of workgroup memory
// and write neighbouring elements of y. The low-rank side product uses the same loop, as additional columns of x: [x |
// q]·[W | U]ᵀ.

const SIDE: u32 = 16u;
const DEPTH: u32 = 4u; // quads of the inner dimension at a time
const TILE_ROWS: u32 = SIDE * THREAD_ROWS;
const TILE_COLUMNS: u32 = SIDE * THREAD_COLUMNS;
const LANES: u32 = SIDE * SIDE;
// Per invocation, rounded up.
const LEFT_QUADS: u32 = (DEPTH * TILE_ROWS + LANES - 1u) / LANES;
const RIGHT_QUADS: u32 = (DEPTH * TILE_COLUMNS + LANES - 1u) / LANES;

// [DEPTH][rows or columns]. With 8 × 8 sums per invocation this is exactly the 16 KiB that every WebGPU adapter has.
var<workgroup> x_tile: array<vec4<f32>, DEPTH * TILE_ROWS>;
var<workgroup> weight_tile: array<vec4<f32>, DEPTH * TILE_COLUMNS>;

@compute @workgroup_size(SIDE, SIDE)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_tiles = (parameters.columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let index = group.y * groups.x + group.x;
  // Rows of the span. A surplus workgroup computes nothing, but passes the barriers.
  let span = span_of(index / column_tiles, TILE_ROWS);
  let row_start = span.block * TILE_ROWS;
  let column_start = (index % column_tiles) * TILE_COLUMNS;

  var sums: array<array<f32, THREAD_COLUMNS>, THREAD_ROWS>;
  for (var side = 0u; side < 2u; side++) {
    let depth = select(parameters.rank_quads, parameters.inner_quads, side == 0u);
    let end = select(0u, select(rank_end(group.z), inner_end(group.z), side == 0u), span.rows > 0u);
    for (var start = select(0u, inner_start(group.z), side == 0u); start < end; start += DEPTH) {
      // All loads come before the first use, so that they are in flight together.
      var left_quads: array<vec4<f32>, LEFT_QUADS>;
      for (var i = 0u; i < LEFT_QUADS; i++) {
        let item = lane + i * LANES;
        left_quads[i] = left_quad(span, side == 1u, row_start + item / DEPTH, start + item % DEPTH, end, depth);
      }
      var right_quads: array<vec4<f32>, RIGHT_QUADS>;
      for (var i = 0u; i < RIGHT_QUADS; i++) {
        let item = lane + i * LANES;
        right_quads[i] = right_quad(span, side == 1u, column_start + item / DEPTH, start + item % DEPTH, end, depth);
      }
      for (var i = 0u; i < LEFT_QUADS; i++) {
        let item = lane + i * LANES;
        if (item < DEPTH * TILE_ROWS) {
          x_tile[(item % DEPTH) * TILE_ROWS + item / DEPTH] = left_quads[i];
        }
      }
      for (var i = 0u; i < RIGHT_QUADS; i++) {
        let item = lane + i * LANES;
        if (item < DEPTH * TILE_COLUMNS) {
          weight_tile[(item % DEPTH) * TILE_COLUMNS + item / DEPTH] = right_quads[i];
        }
      }
      workgroupBarrier();
      for (var k = 0u; k < DEPTH; k++) {
        var columns: array<vec4<f32>, THREAD_COLUMNS>;
        for (var j = 0u; j < THREAD_COLUMNS; j++) {
          columns[j] = weight_tile[k * TILE_COLUMNS + local.x + j * SIDE];
        }
        for (var i = 0u; i < THREAD_ROWS; i++) {
          let row = x_tile[k * TILE_ROWS + local.y + i * SIDE];
          for (var j = 0u; j < THREAD_COLUMNS; j++) {
            sums[i][j] = fma(row.w, columns[j].w,
              fma(row.z, columns[j].z, fma(row.y, columns[j].y, fma(row.x, columns[j].x, sums[i][j]))));
          }
        }
      }
      workgroupBarrier();
    }
    if (side == 0u) {
      for (var i = 0u; i < THREAD_ROWS; i++) {
        for (var j = 0u; j < THREAD_COLUMNS; j++) {
          sums[i][j] *= parameters.weight_scale;
        }
      }
    }
  }

  for (var i = 0u; i < THREAD_ROWS; i++) {
    let row = row_start + local.y + i * SIDE;
    for (var j = 0u; j < THREAD_COLUMNS; j++) {
      let column = column_start + local.x + j * SIDE;
      if (row < span.rows && column < parameters.columns) {
        finish(0.0, sums[i][j], span.first + row, column, group.z); // already scaled
      }
    }
  }
}
