"""Poses as Parquet. A module of its own: its library takes 30 MiB, which only those who write Parquet are to hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.poses import Float32s
from pipeline.db.frames import FrameRow
from pipeline.services.pose_writers import table_of, time_s

_ROW_GROUP = 20_000


class Parquet:
    """The same tables as `Csv`, with units in the fields' metadata.

    Args:
        about: text by key for the files' own metadata: the run, its video and its model.
    """

    def __init__(
        self,
        poses: IO[bytes],
        empty: IO[bytes],
        time_base: Fraction,
        names: Sequence[str],
        about: Mapping[str, str],
    ) -> None:
        self._time_base = time_base
        when = [_field("frame", pa.int32()), _field("pts", pa.int64()), _field("time_s", pa.float64(), "s")]
        person = [_field("person", pa.int16()), _field("score", pa.float32())]
        person += [_field(corner, pa.float32(), "px") for corner in ("x1", "y1", "x2", "y2")]
        for name in names:
            person += [_field(f"{name}_x", pa.float32(), "px"), _field(f"{name}_y", pa.float32(), "px")]
            person.append(_field(f"{name}_confidence", pa.float32()))
        metadata = dict(about)
        self._schemas = (
            pa.schema([*when, *person], metadata),
            pa.schema([*when, _field("missing", pa.string())], metadata),
        )
        self._writers = [
            pq.ParquetWriter(file, schema, compression="zstd")
            for file, schema in zip((poses, empty), self._schemas, strict=True)
        ]
        #: Of each table: frame, pts, time, and person or what is missing.
        self._rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]] = ([], [])
        self._numbers: list[Float32s] = []

    def write(self, row: FrameRow) -> None:
        when = (row.frame, row.pts, time_s(row.pts, self._time_base))
        if len(row.poses):
            self._rows[0].extend((*when, i) for i in range(len(row.poses)))
            self._numbers.append(table_of(row))
        else:
            self._rows[1].append((*when, row.missing))
        for table in (0, 1):
            if len(self._rows[table]) >= _ROW_GROUP:
                self._flush(table)

    def close(self) -> None:
        for table in (0, 1):
            self._flush(table)
            self._writers[table].close()

    def _flush(self, table: int) -> None:
        schema, rows = self._schemas[table], self._rows[table]
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(schema)
        if table == 0 and rows:
            columns += list(np.ascontiguousarray(np.concatenate(self._numbers).T))
            self._numbers.clear()
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        self._writers[table].write_table(pa.Table.from_arrays(arrays, schema=schema))
        rows.clear()


def _field(name: str, kind: Any, unit: str | None = None) -> Any:
    return pa.field(name, kind, metadata={"unit": unit} if unit else None)
