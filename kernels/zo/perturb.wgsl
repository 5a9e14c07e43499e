// Computes the trainable state as each probe sees it: out[p, e] = state[e] + scale_p · d_{query_p}[e], where d is the
// direction (zo/direction.wgsl).
//
// state holds, in f32, every S (r × r) and every 1-D parameter; each starts at a multiple of 256 elements. blocks[b]
// describes the 256 elements of block b: (tensor id, first element of the block within its tensor, elements in use,
// flags: 1 = it trains, 2 = it is an S matrix, 4 = it decays). shape: with a masked direction, one vector per block
// with the threshold in x; with a curved one, ln H in the layout of the state; otherwise unused. probes[p]: (scale as
// f32 bits, query); this launch writes those from first_probe on. One invocation writes four elements; z is drawn on
// the spot, see random/philox.wgsl.

struct Parameters {
  seed_low: u32,
  seed_high: u32,
  step: u32,
  block_count: u32,
  first_probe: u32,
}

@group(0) @binding(0) var<storage, read> state: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> blocks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> probes: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> shape: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> perturbed: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let block_index = group.y * groups.x + group.x;
  if (block_index >= parameters.block_count) {
    return;
  }
  let block = blocks[block_index];
  let quad = block_index * 64u + lane;
  let probe = probes[parameters.first_probe + group.z];
  var value = state[quad];
  let first = lane * 4u;
  if ((block.w & 1u) != 0u && first < block.z) {
    let counter = vec4<u32>((block.y + first) / 4u, block.x, parameters.step, (PURPOSE_NOISE << 24u) | probe.y);
    let z = gaussian_quad(counter, vec2<u32>(parameters.seed_low, parameters.seed_high));
    value = fma(vec4<f32>(bitcast<f32>(probe.x)), direction(z, value, shape[block_index].x, shape[quad]), value);
  }
  perturbed[group.z * parameters.block_count * 64u + quad] = value;
}
