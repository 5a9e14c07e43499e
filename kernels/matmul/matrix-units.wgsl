// Fragments of matmul/matrix.wgsl on matrix units: Dawn's subgroup matrices, f16 operands and f32 sums. The template arguments are (element,
// columns, rows). `main` comes from matmul/matrix-main.wgsl or matmul/matrix-main-sized.wgsl.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

alias Half = f16;
alias Left = subgroup_matrix_left<f16, FRAGMENT_K, FRAGMENT_M>;
alias Right = subgroup_matrix_right<f16, FRAGMENT_N, FRAGMENT_K>;
alias Result = subgroup_matrix_result<f32, FRAGMENT_N, FRAGMENT_M>;

fn fragments() -> u32 {
  return FRAGMENTS;
}

fn fragment_depth() -> u32 {
  return FRAGMENT_K;
}

fn to_half(value: vec4<f32>) -> vec4<f16> {
  return vec4<f16>(value);
}

fn load_left(offset: u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&x_tile, offset, STRIDE);
}

fn load_right(offset: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&weight_tile, offset, STRIDE);
}

fn multiply(left: Left, right: Right, sum: Result) -> Result {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

fn store(offset: u32, sum: Result) {
  subgroupMatrixStore<row_major>(&results, offset, sum, FRAGMENT_N);
}
