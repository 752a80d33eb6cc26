"""Rows of Nadi's tables in PostgreSQL against those of a DuckDB database."""

import pathlib
import subprocess
import tempfile

import duckdb

SERIES = "s.model_version, s.slice_key, s.slice_value"
FROM = "JOIN nadi_store.series s USING (series_id)"


class Comparison:
    """Compares query by query; prints what it finds."""

    def __init__(self, uri, database_path):
        self.uri = uri
        self.database = duckdb.connect(database_path, read_only=True)
        self.database.execute("SET TimeZone = 'UTC'")
        self.scratch = tempfile.TemporaryDirectory()

    def from_postgres(self, name, query):
        """The rows of a query as a table of DuckDB, by way of a CSV file."""
        path = pathlib.Path(self.scratch.name) / f"{name}.csv"
        with path.open("wb") as file:
            subprocess.run(
                ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.uri, "-c", f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)"],
                check=True, stdout=file, env={"PGTZ": "UTC", "PATH": "/usr/bin:/bin"})
        return f"read_csv('{path}', header = true, all_varchar = true)"

    def compare(self, name, keys, counts, sums, theirs, ours):
        """Full join on the keys; every count equal, every sum within 1e-9. Returns whether they are."""
        table = self.from_postgres(name, ours)
        typed_keys = ", ".join(f"CAST({key} AS {kind}) AS {key}" for key, kind in keys.items())
        typed = ", ".join(
            [typed_keys] + [f"CAST({c} AS BIGINT) AS {c}" for c in counts] + [f"CAST({c} AS DOUBLE) AS {c}" for c in sums])
        # Sums of rounded terms differ in their last digits by the order of adding: relative to the terms' size.
        unequal = [f"a.{c} IS DISTINCT FROM b.{c}" for c in counts] + [
            f"(a.{c} IS NULL) <> (b.{c} IS NULL) OR abs(a.{c} - b.{c}) > 1e-9 * greatest(1, abs(a.{c}))" for c in sums]
        query = f"""
        WITH a AS (SELECT {typed} FROM ({theirs})), b AS (SELECT {typed} FROM {table})
        SELECT {', '.join(keys)}, a.* EXCLUDE ({', '.join(keys)}), b.* EXCLUDE ({', '.join(keys)})
        FROM a FULL JOIN b USING ({', '.join(keys)})
        WHERE {' OR '.join(unequal)}"""
        rows = self.database.execute(f"SELECT count(*) FROM ({theirs})").fetchone()[0]
        wrong = self.database.execute(query).fetchall()
        if wrong or rows == 0:
            print(f"{name}: {len(wrong)} of {rows} rows differ (keys, DuckDB's values, Nadi's values)")
            for row in wrong[:5]:
                print("   ", *row)
            return False
        print(f"{name}: {rows} rows equal")
        return True
