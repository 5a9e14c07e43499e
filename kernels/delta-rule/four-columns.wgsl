// An invocation has four neighbouring columns of values: the fewest loads.

alias Columns = vec4<f32>;
alias Coefficients = vec4<f32>;

const ITEM_COLUMNS: u32 = 1u;
