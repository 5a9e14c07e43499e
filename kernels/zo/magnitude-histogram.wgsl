// Counts the magnitudes of a stored weight by 16 of their 32 bits, to find an exact percentile in two launches. This
// works because the f32 bits of magnitudes have the same order as the magnitudes.
//
// LOW_HALF false: bin = upper half of the bits. LOW_HALF true: only magnitudes with the upper half `upper` count; bin =
// lower half.
// weight: `quads` quads of stored elements. counts: 65536 bins, added to.

struct Parameters {
  quads: u32,
  upper: u32,
}

@group(0) @binding(0) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(1) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  if (index >= parameters.quads) {
    return;
  }
  let bits = bitcast<vec4<u32>>(weight_quad(index)) & vec4<u32>(0x7fffffffu);
  for (var element = 0u; element < 4u; element++) {
    let upper = bits[element] >> 16u;
    if (!LOW_HALF) {
      atomicAdd(&counts[upper], 1u);
    } else if (upper == parameters.upper) {
      atomicAdd(&counts[bits[element] & 0xffffu], 1u);
    }
  }
}
