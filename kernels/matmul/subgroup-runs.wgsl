// The base product of matmul/subgroup.wgsl where W is stored in blocks: what eight quads of a row share is loaded once.

fn add_base(base: ptr<function, Sums>, rows: vec4<u32>, weight_rows: vec4<u32>) {
  let places = rows * parameters.inner_quads;
  // Rows are whole blocks, so runs do not end between them.
  let runs = parameters.inner_quads / 8u;
  for (var first = 0u; first < runs; first++) {
    let own = weight_rows * runs + first;
    let run_0 = run_of(own.x);
    let run_1 = run_of(own.y);
    let run_2 = run_of(own.z);
    let run_3 = run_of(own.w);
    let start = places + 8u * first;
    let end = min(8u, parameters.inner_quads - 8u * first);
    for (var quad = 0u; quad < end; quad++) {
      let left = left_quads(start + quad);
      let right = mat4x4<f32>(
        run_quad(run_0, quad),
        run_quad(run_1, quad),
        run_quad(run_2, quad),
        run_quad(run_3, quad),
      );
      add_quads(base, left, right);
    }
  }
}
