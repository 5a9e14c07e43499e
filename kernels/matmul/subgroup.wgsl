// matmul, subgroup: for software adapters with subgroups of 8, where each component that a lane loads costs as much as some twenty
// multiplications. A subgroup makes 8 · BLOCKS rows × 32 columns of y and loads nothing twice: each lane loads one row of x for every
// block, which the subgroup shares by broadcasts, and 4 rows of W for itself. That is BLOCKS + 4 quads loaded for 128 · BLOCKS
// multiplications a lane, where matmul/direct.wgsl loads 8 for 64. Sums are added in the same order, so the bits are the same.
//
// Base and side product take turns in one loop, and the epilogue is one loop over all elements, because compilers unroll
// each load and each store eight times, once for each lane: more places with loads or stores take seconds more to compile.

enable subgroups;

const LANES: u32 = 8u;
const LANE_COLUMNS: u32 = 4u;

// Eight rows of the result, one per lane that loaded a row of x; a lane's own four columns of them.
alias Sums = array<vec4<f32>, 8>;

// One more quad of the inner dimension: `left` is the quad of this lane's row, right[i] element i of this lane's four columns.
fn add_quad(sums: ptr<function, Sums>, left: vec4<f32>, right: mat4x4<f32>) {
  (*sums)[0] = add_row((*sums)[0], subgroupBroadcast(left, 0u), right);
  (*sums)[1] = add_row((*sums)[1], subgroupBroadcast(left, 1u), right);
  (*sums)[2] = add_row((*sums)[2], subgroupBroadcast(left, 2u), right);
  (*sums)[3] = add_row((*sums)[3], subgroupBroadcast(left, 3u), right);
  (*sums)[4] = add_row((*sums)[4], subgroupBroadcast(left, 4u), right);
  (*sums)[5] = add_row((*sums)[5], subgroupBroadcast(left, 5u), right);
  (*sums)[6] = add_row((*sums)[6], subgroupBroadcast(left, 6u), right);
  (*sums)[7] = add_row((*sums)[7], subgroupBroadcast(left, 7u), right);
}

fn add_row(sum: vec4<f32>, left: vec4<f32>, right: mat4x4<f32>) -> vec4<f32> {
  return fma(left.wwww, right[3], fma(left.zzzz, right[2], fma(left.yyyy, right[1], fma(left.xxxx, right[0], sum))));
}

fn combine(base: Sums, side: Sums) -> Sums {
  let scale = parameters.weight_scale;
  return Sums(
    scale * base[0] + side[0],
    scale * base[1] + side[1],
    scale * base[2] + side[2],
    scale * base[3] + side[3],
    scale * base[4] + side[4],
    scale * base[5] + side[5],
    scale * base[6] + side[6],
    scale * base[7] + side[7],
  );
}

// Row `row` of eight, by selections: an index would move the sums from registers to memory.
fn pick(sums: Sums, row: u32) -> vec4<f32> {
  var value = sums[0];
  value = select(value, sums[1], row == 1u);
  value = select(value, sums[2], row == 2u);
  value = select(value, sums[3], row == 3u);
  value = select(value, sums[4], row == 4u);
  value = select(value, sums[5], row == 5u);
  value = select(value, sums[6], row == 6u);
  value = select(value, sums[7], row == 7u);
  return value;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.columns + LANE_COLUMNS * LANES - 1u) / (LANE_COLUMNS * LANES);
  let index = group.y * groups.x + group.x;
  let first_row = (index / column_blocks) * (8u * BLOCKS);
  let column = (index % column_blocks) * (LANE_COLUMNS * LANES) + lane;
  if (first_row >= parameters.rows) {
    return;
  }
  // The rows of x and W that this lane loads; those behind the last one are loaded from it and not written.
  let row = vec4<u32>(first_row + lane) + vec4<u32>(0u, 8u, 16u, 24u);
  let rows = parameters.row_start + min(row, vec4<u32>(parameters.rows - 1u));
  let place = vec4<u32>(column) + LANES * vec4<u32>(0u, 1u, 2u, 3u);
  let columns = min(place, vec4<u32>(parameters.columns - 1u));

  var side_0: Sums;
  var side_1: Sums;
  var side_2: Sums;
  var side_3: Sums;
  var sums_0: Sums;
  var sums_1: Sums;
  var sums_2: Sums;
  var sums_3: Sums;
  // The side product comes first; a phase of no quads is passed through.
  for (var phase = 0u; phase < 2u; phase++) {
    let is_side = phase == 0u;
    let depth = select(parameters.inner_quads, parameters.rank_quads, is_side);
    for (var k = 0u; k < depth; k++) {
      var left_0: vec4<f32>;
      var left_1: vec4<f32>;
      var left_2: vec4<f32>;
      var left_3: vec4<f32>;
      var right: mat4x4<f32>;
      if (is_side) {
        let left = parameters.q_start + rows * depth + k;
        left_0 = q[left.x];
        if (BLOCKS > 1u) {
          left_1 = q[left.y];
          left_2 = q[left.z];
          left_3 = q[left.w];
        }
        let own = (parameters.output_row + columns) * depth + k;
        right = mat4x4<f32>(u[own.x], u[own.y], u[own.z], u[own.w]);
      } else {
        let left = rows * depth + k;
        left_0 = x[left.x];
        if (BLOCKS > 1u) {
          left_1 = x[left.y];
          left_2 = x[left.z];
          left_3 = x[left.w];
        }
        let own = (parameters.weight_row + columns) * depth + k;
        right = mat4x4<f32>(widen(weight[own.x]), widen(weight[own.y]), widen(weight[own.z]), widen(weight[own.w]));
      }
      right = transpose(right);
      add_quad(&sums_0, left_0, right);
      if (BLOCKS > 1u) {
        add_quad(&sums_1, left_1, right);
        add_quad(&sums_2, left_2, right);
        add_quad(&sums_3, left_3, right);
      }
    }
    if (is_side) {
      side_0 = sums_0;
      sums_0 = Sums();
      if (BLOCKS > 1u) {
        side_1 = sums_1;
        side_2 = sums_2;
        side_3 = sums_3;
        sums_1 = Sums();
        sums_2 = Sums();
        sums_3 = Sums();
      }
    }
  }

  sums_0 = combine(sums_0, side_0);
  if (BLOCKS > 1u) {
    sums_1 = combine(sums_1, side_1);
    sums_2 = combine(sums_2, side_2);
    sums_3 = combine(sums_3, side_3);
  }
  let row_count = min(8u * BLOCKS, parameters.rows - first_row);
  // Not constant, so that the loop stays one.
  let column_count = min(LANE_COLUMNS, parameters.columns);
  for (var i = 0u; i < row_count; i++) {
    let within = i & 7u;
    var values = pick(sums_0, within);
    if (BLOCKS > 1u) {
      values = select(values, pick(sums_1, within), i >= 8u);
      values = select(values, pick(sums_2, within), i >= 16u);
      values = select(values, pick(sums_3, within), i >= 24u);
    }
    for (var c = 0u; c < column_count; c++) {
      let value = select(select(values.x, values.y, c == 1u), select(values.z, values.w, c == 3u), c >= 2u);
      if (column + c * LANES < parameters.columns) {
        write(value, parameters.row_start + first_row + i, column + c * LANES, 0u);
      }
    }
  }
}
