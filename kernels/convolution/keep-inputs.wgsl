// Keeps the last inputs of each run as its state, for the tokens that come after them in another pass. One invocation
// for each run and four channels moves what stays of the old inputs before it adds the new ones. No rows lie before
// runs with a state. See convolution/interface.wgsl.

struct Parameters {
  runs: u32,
  quads: u32, // of channels
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> runs: array<u32>;
@group(0) @binding(2) var<storage, read_write> state: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * 64u + lane;
  let run = index / parameters.quads;
  let quad = index % parameters.quads;
  if (run >= parameters.runs) {
    return;
  }
  let end = runs[6u * run + 3u];
  let count = end - runs[6u * run + 2u];
  let number = runs[6u * run + 4u];
  let continued = runs[6u * run + 5u];
  for (var place = 0u; place < TAPS - 1u; place++) {
    let back = TAPS - 1u - place;
    var value = vec4<f32>();
    if (back <= count) {
      value = input_at(end - back, quad);
    } else if (continued != 0u) {
      value = state[state_index(continued - 1u, place + count, quad)];
    }
    state[state_index(number, place, quad)] = value;
  }
}
