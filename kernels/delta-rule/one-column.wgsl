// An invocation has one column of values: the most invocations.

alias Columns = f32;
