SELECT
    customer_id::VARCHAR AS client_id,
    nullif(min(age_group), 'nan') AS segment,
    nullif(min(pin_code), 'Unknown') AS region
FROM read_parquet(getvariable('data') || '/ta_feng/ta_feng.parquet')
GROUP BY customer_id
