// matmul, direct: each invocation holds a 4 × 4 block of y in registers and reads x and W directly from memory, one
// quad at a time. It uses no workgroup memory and no barriers. On software adapters a barrier splits the shader and
// memory is a CPU cache anyway, so this variant beats the tiled ones. It is also the fallback for shapes too small to
// fill a tile. Neighbouring lanes take neighbouring columns, so that they share the rows of x.

fn rank_one(block: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(
    fma(a.xxxx, b, block[0]),
    fma(a.yyyy, b, block[1]),
    fma(a.zzzz, b, block[2]),
    fma(a.wwww, b, block[3]),
  );
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + 3u) / 4u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let span = span_of(index / column_blocks, 4u);
  let row = span.first + span.block * 4u;
  let column = (index % column_blocks) * 4u;
  let last_row = span.first + span.rows - 1u;
  if (row >= span.first + span.rows) {
    return;
  }
  let last_column = parameters.columns - 1u;
  let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(last_row));
  let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(last_column));

  // base[i] holds row i of the block.
  var base = mat4x4<f32>();
  let x_start = rows * parameters.inner_quads;
  let weight_start = (vec4<u32>(span.weight_row) + columns) * parameters.inner_quads;
  for (var k = 0u; k < parameters.inner_quads; k++) {
    let x_block = transpose(mat4x4<f32>(x[x_start.x + k], x[x_start.y + k], x[x_start.z + k], x[x_start.w + k]));
    let weight_block = transpose(mat4x4<f32>(
      weight_quad(weight_start.x + k),
      weight_quad(weight_start.y + k),
      weight_quad(weight_start.z + k),
      weight_quad(weight_start.w + k),
    ));
    base = rank_one(base, x_block[0], weight_block[0]);
    base = rank_one(base, x_block[1], weight_block[1]);
    base = rank_one(base, x_block[2], weight_block[2]);
    base = rank_one(base, x_block[3], weight_block[3]);
  }

  var side = mat4x4<f32>();
  let q_start = vec4<u32>(parameters.q_start) + rows * parameters.rank_quads;
  let u_start = (vec4<u32>(span.output_row) + columns) * parameters.rank_quads;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    let q_block = transpose(mat4x4<f32>(q[q_start.x + j], q[q_start.y + j], q[q_start.z + j], q[q_start.w + j]));
    let u_block = transpose(mat4x4<f32>(
      u_quad(u_start.x + j),
      u_quad(u_start.y + j),
      u_quad(u_start.z + j),
      u_quad(u_start.w + j),
    ));
    side = rank_one(side, q_block[0], u_block[0]);
    side = rank_one(side, q_block[1], u_block[1]);
    side = rank_one(side, q_block[2], u_block[2]);
    side = rank_one(side, q_block[3], u_block[3]);
  }

  // The bounds are not constants, so that compilers do not unroll the epilogue sixteen times, which would take most of
  // the compile time.
  let row_count = min(4u, last_row + 1u - row);
  let column_count = min(4u, parameters.columns - column);
  for (var i = 0u; i < row_count; i++) {
    let base_row = base[i];
    let side_row = side[i];
    for (var j = 0u; j < column_count; j++) {
      finish(base_row[j], side_row[j], row + i, column + j, 0u);
    }
  }
}
