SELECT
    invoiceNumber AS invoice_id,
    customerID AS client_id,
    strptime(InvoiceDate, '%m/%d/%Y')::DATE AS issued_on,
    InvoiceAmount AS amount,
    strptime(DueDate, '%m/%d/%Y')::DATE AS due_on,
    strptime(SettledDate, '%m/%d/%Y')::DATE AS paid_on,
    Disputed AS disputed,
    PaperlessBill AS delivery
FROM read_csv(
    getvariable('data') || '/ibm_accounts_receivable/accounts_receivable.csv', all_varchar = true
)
