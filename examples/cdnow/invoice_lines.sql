-- One line a purchase: how many CDs, and what was spent on them together.
SELECT
    customer_id AS client_id,
    'cds' AS service_id,
    date AS issued_on,
    cds AS quantity,
    spend::DOUBLE / cds::DOUBLE AS unit_price,
    spend AS amount
FROM read_csv(getvariable('data') || '/cdnow/cdnow_master.csv', all_varchar = true)
