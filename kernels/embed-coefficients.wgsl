// The left factor of the changes of embedding rows: c[i] = [scale · U[id_i] · S_p, bank_scale · U_bank[id_i]], for row
// i of probe p = i / rows_per_probe, [rows, 4·rank_quads]. kernels/embed.wgsl says what it is a part of, and how U and
// S_p are bound. Columns from the rank to the next whole quad are zeros, and so are rows with ids behind the table. An
// invocation makes one element.

struct Parameters {
  rows: u32,
  table_rows: u32,
  rank: u32,
  rank_quads: u32,
  rows_per_probe: u32,
  input_rows: u32,
  state_offset: u32,
  state_stride: u32,
  scale: f32,
  bank_scale: f32,
}

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> u: array<FactorWord>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

fn u_at(place: u32) -> f32 {
  return factor_quad(u[place / 4u])[place % 4u];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = parameters.rank_quads * 4u;
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / width;
  if (row >= parameters.rows) {
    return;
  }
  let b = index % width;
  let id = ids[row % parameters.input_rows];
  var value = 0.0;
  if (id < parameters.table_rows) {
    if (b < parameters.rank) {
      let s = parameters.state_offset + (row / parameters.rows_per_probe) * parameters.state_stride;
      var sum = 0.0;
      for (var a = 0u; a < parameters.rank; a++) {
        sum = fma(u_at(id * width + a), state[s + a * parameters.rank + b], sum);
      }
      value = parameters.scale * sum;
    } else if (b >= (parameters.rank + 3u) / 4u * 4u) {
      value = parameters.bank_scale * u_at(id * width + b);
    }
  }
  c[index] = value;
}
