-- UCI Online Retail II, 2009-2010. Lines without a customer are left out (see README.md).
SELECT
    invoice AS invoice_id,
    customer_id::BIGINT::VARCHAR AS client_id,
    upper(stock_code) AS service_id,
    invoice_date::DATE AS issued_on,
    quantity,
    price AS unit_price
FROM read_parquet(getvariable('data') || '/online_retail_2009_2010/online_retail_2009_2010.parquet')
WHERE customer_id IS NOT NULL
