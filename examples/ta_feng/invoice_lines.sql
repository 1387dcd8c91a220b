-- quantity, cost and sales_price are totals of the line, not of one piece.
SELECT
    customer_id::VARCHAR AS client_id,
    product_id::VARCHAR AS service_id,
    date::DATE AS issued_on,
    quantity,
    sales_price / quantity AS unit_price,
    sales_price AS amount,
    cost
FROM read_parquet(getvariable('data') || '/ta_feng/ta_feng.parquet')
