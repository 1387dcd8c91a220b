SELECT
    customer_id::BIGINT::VARCHAR AS client_id,
    -- A few customers order from two countries: the one they began with.
    arg_min(country, (invoice_date, invoice, country)) AS region
FROM read_parquet(getvariable('data') || '/online_retail_2009_2010/online_retail_2009_2010.parquet')
WHERE customer_id IS NOT NULL
GROUP BY customer_id
