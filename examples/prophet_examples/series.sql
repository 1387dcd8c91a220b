SELECT 'air_passengers' AS series_id, ds AS observed_at, y AS value
FROM read_csv(getvariable('data') || '/prophet_examples/example_air_passengers.csv')
UNION ALL
SELECT 'retail_sales', ds, y
FROM read_csv(getvariable('data') || '/prophet_examples/example_retail_sales.csv')
UNION ALL
SELECT 'peyton_manning', ds, y
FROM read_csv(getvariable('data') || '/prophet_examples/example_wp_log_peyton_manning.csv')
