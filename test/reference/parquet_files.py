"""Small Parquet files, one for each way of packing pages, and tables that are awkward to read.

    python test/reference/parquet_files.py      # needs pyarrow; writes test/fixtures/data/parquet
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(__file__).parent.parent / "fixtures" / "data" / "parquet"
folder.mkdir(parents=True, exist_ok=True)

rows = [
    {"prompt": f"Two and {n} make", "completion": f"{n + 2}.", "id": 2**40 + n, "score": None if n == 1 else n / 4}
    for n in range(5)
]
table = pa.Table.from_pylist(rows)
for packing in ["NONE", "SNAPPY", "GZIP", "ZSTD", "LZ4", "BROTLI"]:
    # Two row groups.
    pq.write_table(table, folder / f"{packing.lower()}.parquet", compression=packing, row_group_size=3)

conversations = [
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}], "tags": ["a", "b"]},
    {"messages": [{"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Oh."}], "tags": []},
]
pq.write_table(pa.Table.from_pylist(conversations), folder / "messages.parquet", compression="ZSTD")
nested = [{"prompt": {"text": "a"}, "completion": "b"}]
pq.write_table(pa.Table.from_pylist(nested), folder / "nested.parquet")
