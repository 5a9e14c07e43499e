// Embedding, subgroup: y[i] = weight_scale · W[id_i] + c[i] · Vᵀ for software adapters with subgroups of 8 or 4
// (LANES), where each component that a lane loads costs as much as some twenty multiplications. c [rows, 4·rank_quads]
// comes from kernels/embed-coefficients.wgsl; the rest is as in kernels/embed.wgsl, and terms are added in the same
// order as there, so the bits are the same. A subgroup makes LANES · BLOCKS rows × 4 · LANES columns, and each lane
// loads its quad of four rows of V for all of them.

struct Parameters {
  rows: u32,
  width_quads: u32,
  row_start: u32,
  part_rows: u32,
  rank_quads: u32,
  v_start: u32,
  input_rows: u32,
  weight_scale: f32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<FactorWord>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

// The place of a row's id in this part of the table; beyond part_rows where another launch has it, or none.
fn place_of(row: u32) -> u32 {
  let id = ids[row % parameters.input_rows];
  return select(parameters.part_rows, id - parameters.row_start, id >= parameters.row_start);
}

fn v_quad(place: u32) -> vec4<f32> {
  return factor_quad(v[place]);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let column_blocks = (parameters.width_quads + LANES - 1u) / LANES;
  let index = group.y * groups.x + group.x;
  let first = index / column_blocks * (LANES * BLOCKS);
  if (first >= parameters.rows) {
    return; // a surplus workgroup
  }
  let end = min(first + LANES * BLOCKS, parameters.rows);
  let quad = index % column_blocks * LANES + lane;
  // Lanes behind the last column load it again for nothing.
  let column = min(quad, parameters.width_quads - 1u);
  var sums: Sums;
  for (var row = first; row < end; row++) {
    let place = min(place_of(row), parameters.part_rows - 1u);
    sums[row - first] = parameters.weight_scale * weight_quad(place * parameters.width_quads + column);
  }
  let own = min(vec4<u32>(first + lane) + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(parameters.rows - 1u));
  let starts = own * parameters.rank_quads;
  for (var j = 0u; j < parameters.rank_quads; j++) {
    let places = starts + j;
    let left = mat4x4<f32>(c[places.x], c[places.y], c[places.z], c[places.w]);
    let step = parameters.width_quads;
    let below = parameters.v_start + 4u * j * step + column;
    let right = mat4x4<f32>(v_quad(below), v_quad(below + step), v_quad(below + 2u * step), v_quad(below + 3u * step));
    add_elements(&sums, left, right);
  }
  for (var row = first; row < end; row++) {
    if (place_of(row) < parameters.part_rows && quad < parameters.width_quads) {
      let place = row * parameters.width_quads + quad;
      var value = sums[row - first];
      if (ACCUMULATE) {
        value += y[place];
      }
      y[place] = value;
    }
  }
}
