// An invocation has four neighbouring columns of values: the fewest loads.

alias Columns = vec4<f32>;
