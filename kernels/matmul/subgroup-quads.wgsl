// The base product of matmul/subgroup.wgsl where every element of W is stored by itself.

fn add_base(base: ptr<function, Sums>, rows: vec4<u32>, weight_rows: vec4<u32>) {
  for (var k = 0u; k < parameters.inner_quads; k++) {
    let own = weight_rows * parameters.inner_quads + k;
    let left = left_quads(rows * parameters.inner_quads + k);
    add_quads(
      base,
      left,
      mat4x4<f32>(weight_quad(own.x), weight_quad(own.y), weight_quad(own.z), weight_quad(own.w)),
    );
  }
}
