// Embedding: y[i] = weight_scale · W[id_i] + scale · (U[id_i] · S_p) · Vᵀ, for row i of probe p = i / rows_per_probe.
//
// W: one part of the table, [part_rows, 4·width_quads] in STORAGE, which holds the ids row_start … row_start +
// part_rows − 1. Rows with other ids are left to the launches of the other parts. U: [·, 4·rank_quads]; V, stored
// transposed: [rank, 4·width_quads], from quad v_start on; S_p as in zo/rotate.wgsl. rank = 0 leaves out the low-rank
// term. Columns of U from the next whole quad on and the rows of V below it are a bank (src/ops/probes.ts), whose
// product is added, times bank_scale. U and V are stored as factors are (zo/factors-*.wgsl). The id of row i is ids[i
// mod input_rows]. ACCUMULATE adds to y (position embeddings). One workgroup per ROWS rows: it first computes the
// coefficients U·S in workgroup memory, then the rows themselves, one quad per invocation. On software adapters, where
// each component that is loaded costs as much as some twenty multiplications, rows that are made together load V once.

struct Parameters {
  rows: u32,
  width_quads: u32,
  row_start: u32,
  part_rows: u32,
  rank: u32,
  rank_quads: u32,
  v_start: u32,
  rows_per_probe: u32,
  input_rows: u32,
  state_offset: u32,
  state_stride: u32,
  scale: f32,
  weight_scale: f32,
  bank_scale: f32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(2) var<storage, read> u: array<FactorWord>;
@group(0) @binding(3) var<storage, read> v: array<FactorWord>;
@group(0) @binding(4) var<storage, read> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

const MOST_WIDTH: u32 = 512u;

var<workgroup> coefficients: array<f32, ROWS * MOST_WIDTH>;

fn u_at(place: u32) -> f32 {
  return factor_quad(u[place / 4u])[place % 4u];
}

fn v_quad(b: u32, quad: u32) -> vec4<f32> {
  return factor_quad(v[parameters.v_start + b * parameters.width_quads + quad]);
}

// The place of a row's id in this part of the table; beyond part_rows where another launch has it, or none.
fn place_of(row: u32) -> u32 {
  let id = ids[select(0u, row % parameters.input_rows, row < parameters.rows)];
  return select(parameters.part_rows, id - parameters.row_start, row < parameters.rows && id >= parameters.row_start);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.y * groups.x + group.x) * ROWS;
  let width = parameters.rank_quads * 4u;
  let bank_start = (parameters.rank + 3u) / 4u * 4u;
  let end = min(first + ROWS, parameters.rows);
  for (var row = first; row < end; row++) {
    let place = place_of(row);
    if (place >= parameters.part_rows) {
      continue;
    }
    let id = parameters.row_start + place;
    let s = parameters.state_offset + (row / parameters.rows_per_probe) * parameters.state_stride;
    for (var b = lane; b < width; b += 64u) {
      var value = 0.0;
      if (b < parameters.rank) {
        var sum = 0.0;
        for (var a = 0u; a < parameters.rank; a++) {
          sum = fma(u_at(id * width + a), state[s + a * parameters.rank + b], sum);
        }
        value = parameters.scale * sum;
      } else if (b >= bank_start) {
        value = parameters.bank_scale * u_at(id * width + b);
      }
      coefficients[(row - first) * MOST_WIDTH + b] = value;
    }
  }
  workgroupBarrier();
  for (var quad = lane; quad < parameters.width_quads; quad += 64u) {
    var values: array<vec4<f32>, ROWS>;
    // Bounds that depend on no constant keep loops over rows loops, which halves what drivers take to compile them.
    for (var row = first; row < end; row++) {
      let place = min(place_of(row), parameters.part_rows - 1u);
      values[row - first] = parameters.weight_scale * weight_quad(place * parameters.width_quads + quad);
    }
    for (var b = 0u; b < width; b++) {
      // Columns between the rank and the bank have nothing in V.
      if (b == parameters.rank) {
        b = bank_start;
        if (b == width) {
          break;
        }
      }
      let direction = v_quad(b, quad);
      for (var i = 0u; i < ROWS; i++) {
        values[i] = fma(vec4<f32>(coefficients[i * MOST_WIDTH + b]), direction, values[i]);
      }
    }
    for (var row = first; row < end; row++) {
      if (place_of(row) >= parameters.part_rows) {
        continue;
      }
      let index = row * parameters.width_quads + quad;
      var value = values[row - first];
      if (ACCUMULATE) {
        value += y[index];
      }
      y[index] = value;
    }
  }
}
