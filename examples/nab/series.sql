-- Four files hold a few instants twice, where clocks went back: their mean.
SELECT file AS series_id, timestamp AS observed_at, avg(value) AS value
FROM read_parquet(getvariable('data') || '/nab_open/nab_open.parquet')
GROUP BY file, timestamp
