SELECT
    upper(stock_code) AS service_id,
    max(description) AS name,
    CASE WHEN regexp_matches(upper(stock_code), '^[0-9]{5}') THEN 'goods' ELSE 'other' END AS category
FROM read_parquet(getvariable('data') || '/online_retail_2009_2010/online_retail_2009_2010.parquet')
WHERE customer_id IS NOT NULL
GROUP BY upper(stock_code)
