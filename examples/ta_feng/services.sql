SELECT
    product_id::VARCHAR AS service_id,
    min(product_subclass)::VARCHAR AS category
FROM read_parquet(getvariable('data') || '/ta_feng/ta_feng.parquet')
GROUP BY product_id
