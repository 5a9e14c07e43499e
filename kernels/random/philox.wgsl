// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and standard normal numbers
// made from it.
//
// Philox is a counter-based generator: its numbers are a pure function of (key, counter), so a direction never has to
// be stored, sent or drawn in order. key = seed of the run. counter = (element / 4, tensor id, step or period, purpose
// · 2^24 + query).

const PURPOSE_NOISE: u32 = 0u;
const PURPOSE_LEFT: u32 = 1u;
const PURPOSE_RIGHT: u32 = 2u;
const PURPOSE_ROUNDING: u32 = 4u;

// The 64-bit product of two u32 as (high, low), because WGSL has no wide multiplication.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let low_low = a_low * b_low;
  let middle = a_high * b_low + (low_low >> 16u);
  let cross = a_low * b_high + (middle & 0xffffu);
  return vec2<u32>(a_high * b_high + (middle >> 16u) + (cross >> 16u), a * b);
}

fn philox(start: vec4<u32>, start_key: vec2<u32>) -> vec4<u32> {
  var counter = start;
  var key = start_key;
  for (var round = 0u; round < 10u; round++) {
    let first = multiply_wide(0xd2511f53u, counter.x);
    let second = multiply_wide(0xcd9e8d57u, counter.z);
    counter = vec4<u32>(second.x ^ counter.y ^ key.x, second.y, first.x ^ counter.w ^ key.y, first.y);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return counter;
}

// cos and sin of a full turn times x · 2^-32. WGSL guarantees only 2^-11 for its own functions; these are accurate to
// f32 rounding. The nearest quarter turn is subtracted exactly, in integers, and Taylor polynomials compute the rest.
fn turn(x: u32) -> vec2<f32> {
  let nearest = (x + 0x20000000u) >> 30u; // nearest quarter turn, 0 … 3 (wraps)
  let rest = bitcast<i32>(x - (nearest << 30u)); // within ± an eighth turn
  let angle = f32(rest) * 1.4629180792671596e-9; // 2π / 2^32
  let square = angle * angle;
  let sine = angle * (1.0 + square
    * (-0.16666667 + square * (0.008333333 + square * (-1.984127e-4 + square * 2.7557319e-6))));
  let cosine = 1.0 + square
    * (-0.5 + square * (0.041666668 + square * (-0.0013888889 + square * (2.4801587e-5 - square * 2.755732e-7))));
  switch (nearest & 3u) {
    case 0u: { return vec2<f32>(cosine, sine); }
    case 1u: { return vec2<f32>(-sine, cosine); }
    case 2u: { return vec2<f32>(-cosine, -sine); }
    default: { return vec2<f32>(sine, -cosine); }
  }
}

fn radius(x: u32) -> f32 {
  // The half step keeps the argument above zero. The largest words round to 1, where log may be off by 2^-21 in either
  // direction (WGSL, §15.7.4.1); the root of a negative number would be NaN.
  return sqrt(max(0.0, -2.0 * log(f32(x) * 2.3283064365386963e-10 + 1.1641532182693481e-10)));
}

// Four independent standard normal numbers (Box–Muller).
fn box_muller(words: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(radius(words.x) * turn(words.y), radius(words.z) * turn(words.w));
}

fn gaussian_quad(counter: vec4<u32>, key: vec2<u32>) -> vec4<f32> {
  return box_muller(philox(counter, key));
}

struct TwoQuads {
  first: vec4<f32>,
  second: vec4<f32>,
}

// The numbers of two counters that differ only in their element. Each block is one long chain of multiplications; two
// chains side by side take much less than twice the time of one.
fn gaussian_quads(counter: vec4<u32>, second_element: u32, start_key: vec2<u32>) -> TwoQuads {
  var one = counter;
  var two = vec4<u32>(second_element, counter.yzw);
  var key = start_key;
  for (var round = 0u; round < 10u; round++) {
    let one_first = multiply_wide(0xd2511f53u, one.x);
    let two_first = multiply_wide(0xd2511f53u, two.x);
    let one_second = multiply_wide(0xcd9e8d57u, one.z);
    let two_second = multiply_wide(0xcd9e8d57u, two.z);
    one = vec4<u32>(one_second.x ^ one.y ^ key.x, one_second.y, one_first.x ^ one.w ^ key.y, one_first.y);
    two = vec4<u32>(two_second.x ^ two.y ^ key.x, two_second.y, two_first.x ^ two.w ^ key.y, two_first.y);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return TwoQuads(box_muller(one), box_muller(two));
}
