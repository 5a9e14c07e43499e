// The middle of the low-rank side product: q[i, a] = scale · Σ_b t[i, b] · S_p[a, b], for row i of probe p = i /
// rows_per_probe. One launch serves up to three weights that are multiplied by the same x; a rank of 0 stands for none.
//
// t = x Vᵀ… is [rows, Σ padded ranks] from a matmul with the stored Vᵀ, the weights side by side. q is [rows, padded
// rank] of the first weight, then of the second, and so on. S_p is rank × rank, row-major, at state_offset + p ·
// state_stride of the (perturbed) state. scale is μ of docs/method.md. Columns from the rank to the padded width are
// zeros in t and are written as zeros. Behind them every weight has 4·bank_quads columns of a bank (LowRankFactors in
// src/ops/probes.ts), which q gets times bank_scale. An invocation takes one column of four rows of a probe, so that
// what it reads of S serves four rows. Another file defines `main` and the source of t: zo/rotate-plain.wgsl, or
// zo/rotate-slices.wgsl if the matmul left the sums of slices.

struct Parameters {
  rows: u32,
  rows_per_probe: u32,
  blocks: u32,
  state_stride: u32,
  slices: u32,
  bank_quads: u32,
  bank_scale: f32,
  rank_0: u32,
  rank_1: u32,
  rank_2: u32,
  state_offset_0: u32,
  state_offset_1: u32,
  state_offset_2: u32,
  scale_0: f32,
  scale_1: f32,
  scale_2: f32,
}

@group(0) @binding(0) var<storage, read> t: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> state: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

// Quads of a row of t up to the end of each weight.
fn quad_ends() -> vec3<u32> {
  let ranks = vec3<u32>(parameters.rank_0, parameters.rank_1, parameters.rank_2);
  let quads = (ranks + 3u) / 4u + select(vec3<u32>(0u), vec3<u32>(parameters.bank_quads), ranks > vec3<u32>(0u));
  return vec3<u32>(quads.x, quads.x + quads.y, quads.x + quads.y + quads.z);
}

// Up to four rows of one probe.
struct Block {
  probe: u32,
  first: u32,
  last: u32,
}

fn block_at(index: u32) -> Block {
  let blocks_per_probe = (parameters.rows_per_probe + 3u) / 4u;
  let probe = index / blocks_per_probe;
  let first = probe * parameters.rows_per_probe + (index % blocks_per_probe) * 4u;
  return Block(probe, first, min(first + 3u, (probe + 1u) * parameters.rows_per_probe - 1u));
}

// The rows of a block; if there are fewer than four, the last one is repeated.
fn rows_of(block: Block) -> vec4<u32> {
  return min(vec4<u32>(block.first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(block.last));
}

// Writes one column, counted over all weights, of a block. starts: where its rows begin for t_at.
fn rotate(block: Block, column: u32, starts_of_rows: vec4<u32>) {
  let ends = quad_ends();
  let weight = u32(column / 4u >= ends.x) + u32(column / 4u >= ends.y);
  let rank = vec3<u32>(parameters.rank_0, parameters.rank_1, parameters.rank_2)[weight];
  let rank_quads = (rank + 3u) / 4u;
  let width_quads = rank_quads + parameters.bank_quads;
  let first_quad = ends[weight] - width_quads;
  let a = column - 4u * first_quad;
  var sum = vec4<f32>(0.0);
  if (a < rank) {
    let state_offset = vec3<u32>(parameters.state_offset_0, parameters.state_offset_1,
      parameters.state_offset_2)[weight];
    let s = state_offset + block.probe * parameters.state_stride + a * rank;
    let starts = starts_of_rows + first_quad;
    for (var quad = 0u; quad < rank_quads; quad++) {
      let one = t_at(starts.x + quad);
      let two = t_at(starts.y + quad);
      let three = t_at(starts.z + quad);
      let four = t_at(starts.w + quad);
      let b = quad * 4u;
      // After the last column lies another row of S, or another tensor.
      let end = rank - 1u;
      sum = fma(vec4<f32>(one.x, two.x, three.x, four.x), vec4<f32>(state[s + b]), sum);
      sum = fma(vec4<f32>(one.y, two.y, three.y, four.y), vec4<f32>(state[s + min(b + 1u, end)]), sum);
      sum = fma(vec4<f32>(one.z, two.z, three.z, four.z), vec4<f32>(state[s + min(b + 2u, end)]), sum);
      sum = fma(vec4<f32>(one.w, two.w, three.w, four.w), vec4<f32>(state[s + min(b + 3u, end)]), sum);
    }
  }
  sum *= vec3<f32>(parameters.scale_0, parameters.scale_1, parameters.scale_2)[weight];
  if (a >= 4u * rank_quads) {
    let starts = starts_of_rows + first_quad + a / 4u;
    let banked = vec4<f32>(t_at(starts.x)[a % 4u], t_at(starts.y)[a % 4u], t_at(starts.z)[a % 4u],
      t_at(starts.w)[a % 4u]);
    sum = parameters.bank_scale * banked;
  }
  let q_start = parameters.rows * 4u * first_quad;
  for (var row = block.first; row <= block.last; row++) {
    q[q_start + row * 4u * width_quads + a] = sum[row - block.first];
  }
}
