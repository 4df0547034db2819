"""Reads the offline file of a W&B run, record by record, as `wandb sync` does.

The file is a LevelDB log: a 7-byte header, then blocks of 32 KiB with chunks of (crc32 uint32, length uint16, type uint8); type 1 is
a whole record, 2, 3 and 4 are its first, middle and last parts. A record is a protobuf message of the SDK.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK, _FILE_HEADER, _CHUNK_HEADER = 32768, 7, 7


def read_offline_run(folder: Path) -> dict[str, Any]:
    """Returns id, project, config, rows and exit code of the one offline run below `folder`."""
    [path] = folder.glob("wandb/offline-run-*/run-*.wandb")
    found: dict[str, Any] = {"config": {}, "rows": [], "exit_code": None}
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {"id": record.run.run_id, "project": record.run.project, "name": record.run.display_name}
            found["group"] = record.run.run_group
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            found["rows"].append(row)
        elif kind == "exit":
            found["exit_code"] = record.exit.exit_code
    return found


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B"
    position, record = _FILE_HEADER, b""
    while position + _CHUNK_HEADER <= len(data):
        room = _BLOCK - position % _BLOCK
        if room < _CHUNK_HEADER:
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += _CHUNK_HEADER
        record += data[position : position + length]
        position += length
        if kind in (1, 4):
            yield record
            record = b""
