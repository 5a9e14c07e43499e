// Attention, direct: one invocation per (row, head) walks its keys once, with an online softmax in f32 and the sums in
// registers.
//
//   y[i, h] = Σ_j softmax_j(soft_cap(scale · q[i, h]·k[j, h / group])) · v[j, h / group]
//
// q, y: [rows, heads · 4·HEAD_QUADS]; k, v: [key rows, key_heads · 4·HEAD_QUADS], f32. Data decides which keys a row
// sees: ranges[i mod input_rows] = (a₀, a₁, b₀, b₁) stands for the key rows [a₀, a₁) and [b₀, b₁), shifted by probe
// · key_stride. Causal and bidirectional segments, sliding windows, options that share a prompt, prefix tokens and a
// key-value cache are all such pairs of ranges. A row that sees no key yields zeros.

alias Value = vec4<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let row = index / parameters.heads;
  let head = index % parameters.heads;
  if (row >= parameters.rows) {
    return;
  }
  let probe = row / parameters.rows_per_probe;
  let range = ranges[row % parameters.input_rows];
  let shift = probe * parameters.key_stride;
  let key_head = head / (parameters.heads / parameters.key_heads);

  var sum: array<vec4<f32>, HEAD_QUADS>;
  var highest = sink_of(probe, head);
  var total = SINK_WEIGHT;
  let first_count = range.y - range.x;
  let count = first_count + range.w - range.z;
  for (var j = 0u; j < count; j++) {
    let key_row = shift + select(range.z + j - first_count, range.x + j, j < first_count);
    let key = (key_row * parameters.key_heads + key_head) * HEAD_QUADS;
    var products = vec4<f32>();
    // The bound is not a constant, so that compilers do not unroll the loop; unrolling takes seconds on a software
    // adapter and gains nothing.
    for (var d = 0u; d < parameters.head_quads; d++) {
      products = fma(q[index * HEAD_QUADS + d], k[key + d], products);
    }
    let plain = soft_cap(parameters.scale * (products.x + products.y + products.z + products.w));
    let score = with_alibi(plain, head, range, j);
    if (score > highest) {
      let correction = exp(highest - score);
      highest = score;
      total *= correction;
      for (var d = 0u; d < HEAD_QUADS; d++) {
        sum[d] *= correction;
      }
    }
    let share = exp(score - highest);
    total += share;
    for (var d = 0u; d < HEAD_QUADS; d++) {
      sum[d] = fma(vec4<f32>(share), v[key + d], sum[d]);
    }
  }
  for (var d = 0u; d < HEAD_QUADS; d++) {
    y[index * HEAD_QUADS + d] = sum[d] / max(total, 1.0e-30); // total is at least 1, except for a row without keys
  }
}
