"""Counts who did what, from the Parquet files of a data directory."""

import os
import sys

import duckdb

# Only the files that the manifest names are part of the log.
FILES = """
SET TimeZone = 'UTC';
SET VARIABLE files = (
  SELECT list(format('segments/{:020d}-{:010d}.parquet', segment.first, segment.events))
  FROM (SELECT unnest(segments) AS segment FROM read_json('manifest'))
);
"""

QUERY = """
SELECT coalesce(actor_name, actor_id, 'anonymous') AS who, operation, outcome, count(*) AS events,
  max(occurred_at)::VARCHAR AS latest
FROM read_parquet(getvariable('files'))
WHERE service = $service
GROUP BY ALL ORDER BY events DESC, who, operation, outcome
LIMIT 20
"""

data_dir, service = sys.argv[1], "platform" if len(sys.argv) < 3 else sys.argv[2]
# The query names files below the data directory.
os.chdir(data_dir)
database = duckdb.connect()
database.execute(FILES)
for row in database.execute(QUERY, {"service": service}).fetchall():
    print(*row, sep="\t")
