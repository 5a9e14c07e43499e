// norm.wgsl for software adapters with subgroups of 8 or 4 (LANES): a subgroup takes a row, so that no barrier is
// needed, which such adapters pay for dearly. A lane keeps 64 / LANES of the 64 partial sums of norm.wgsl and adds them
// up in the same tree, so the bits are the same. norm.wgsl says what is computed and how it is bound.

enable subgroups;

const PARTS: u32 = 64u / LANES;

// Element j of a lane stands for the partial sum of lane + LANES·j of norm.wgsl.
alias Partial = array<f32, PARTS>;

// Leaves the sums of pairs in the first half of sixteen.
fn add_pairs(partial: ptr<function, Partial>) {
  for (var j = 0u; j < 8u; j++) {
    (*partial)[j] += (*partial)[j + 8u];
  }
}

// The sum over the subgroup, in the order of norm.wgsl's workgroup_sum.
fn subgroup_sum(partial: Partial) -> f32 {
  let even = (partial[0] + partial[4]) + (partial[2] + partial[6]);
  let odd = (partial[1] + partial[5]) + (partial[3] + partial[7]);
  var sum = even + odd;
  if (LANES > 4u) {
    sum += subgroupShuffleXor(sum, 4u);
  }
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 1u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = min(group.y * groups.x + group.x, parameters.rows - 1u); // surplus workgroups repeat the last row
  let start = row * parameters.stride;
  let width = parameters.width;
  var mean = 0.0;
  if (CENTRE) {
    var sums: Partial;
    for (var first = lane; first < width + lane; first += 64u) {
      for (var j = 0u; j < PARTS; j++) {
        let i = first + LANES * j;
        sums[j] += select(0.0, x[start + min(i, width - 1u)], i < width);
      }
    }
    if (LANES < 8u) {
      add_pairs(&sums);
    }
    mean = subgroup_sum(sums) / f32(width);
  }
  var squares: Partial;
  for (var first = lane; first < width + lane; first += 64u) {
    for (var j = 0u; j < PARTS; j++) {
      let i = first + LANES * j;
      let centred = select(0.0, x[start + min(i, width - 1u)] - mean, i < width);
      squares[j] = fma(centred, centred, squares[j]);
    }
  }
  if (LANES < 8u) {
    add_pairs(&squares);
  }
  let scale = inverseSqrt(subgroup_sum(squares) / f32(width) + parameters.epsilon);
  write_row(row, lane, mean, scale);
}
