SELECT customerID AS client_id, min(countryCode) AS region
FROM read_csv(
    getvariable('data') || '/ibm_accounts_receivable/accounts_receivable.csv', all_varchar = true
)
GROUP BY customerID
