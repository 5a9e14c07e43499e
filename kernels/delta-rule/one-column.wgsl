// An invocation has one column of values: the most invocations.

alias Columns = f32;
alias Coefficients = vec4<f32>;

const ITEM_COLUMNS: u32 = 1u;
