"""What other systems call the contract's columns and tables.

Names are tidied (lower case, words joined by underscores). They come from the headings of common
exports: Xero (``*ContactName``, ``*UnitAmount``), QuickBooks (``Num``, ``Qty``, ``Sales Price``),
Stripe (``Paid At (UTC)``), and from the habits of time-tracking and advertising tools.
"""

from __future__ import annotations

_CLIENT = (
    "client_id", "customer_id", "account_id", "contact_id", "customer", "client", "contact_name",
    "customer_name", "client_name", "account_name", "customer_no", "customer_number", "account",
    "contact", "company", "user_id", "buyer_id", "member_id", "household_id", "name",
)  # fmt: skip
_SERVICE = (
    "service_id", "product_id", "item_id", "sku", "stock_code", "item_code", "inventory_item_code",
    "product_code", "service", "product", "item", "product_service", "item_product_service",
    "activity", "task", "price_id", "plan", "description", "item_description", "memo_description",
    "account_code",
)  # fmt: skip
_INVOICE = (
    "invoice_id", "invoice_number", "invoice_no", "invoice_num", "invoice", "num", "number",
    "document_number", "doc_number", "bill_no", "order_id", "order_number", "transaction_id",
    "receipt_no", "id",
)  # fmt: skip
_ISSUED = (
    "issued_on", "invoice_date", "date", "txn_date", "transaction_date", "issue_date",
    "document_date", "order_date", "created", "created_utc", "date_utc", "finalized_at_utc",
    "created_at", "timestamp", "billing_date", "posting_date",
)  # fmt: skip
_QUANTITY = ("quantity", "qty", "units", "hours", "item_quantity", "count", "duration")
_PRICE = (
    "unit_price", "unit_amount", "price", "rate", "sales_price", "item_rate", "unit_cost_price",
    "unit_amount_decimal", "price_each", "amount_per_unit",
)  # fmt: skip
_AMOUNT = (
    "amount", "line_amount", "item_amount", "total", "invoice_amount", "line_total", "total_amount",
    "net_amount", "subtotal", "spend", "revenue", "amount_due", "gross_amount", "balance_due",
)  # fmt: skip
_COST = ("cost", "line_cost", "total_cost", "cogs", "cost_of_goods_sold", "cost_amount")
_DAY = ("date", "day", "spent_date", "start_date", "started_at", "created_at")

#: table -> contract column -> names it goes by, the likelier first.
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "clients": {
        "client_id": (*_CLIENT, "id", "number", "code"),
        "name": ("name", "client_name", "customer_name", "contact_name", "company_name",
                 "display_name", "full_name", "company"),
        "segment": ("segment", "customer_type", "type", "industry", "tier", "group", "category"),
        "region": ("region", "country", "billing_country", "state", "city", "pocountry", "location",
                   "address_country"),
        "started_on": ("started_on", "start_date", "created", "created_at", "created_utc",
                       "customer_since", "signup_date", "open_date", "create_date"),
        "ended_on": ("ended_on", "end_date", "churned_on", "cancelled_at", "canceled_at",
                     "closed_date", "churn_date"),
    },
    "services": {
        "service_id": (*_SERVICE, "id", "code"),
        "name": ("name", "product_name", "item_name", "title", "description", "service_name"),
        "category": ("category", "type", "group", "department", "family"),
        "list_price": ("list_price", "price", "sales_price", "unit_price", "rate",
                       "sales_unit_price", "default_price"),
        "unit_cost": ("unit_cost", "cost", "purchase_cost", "purchases_unit_price", "standard_cost",
                      "purchase_price"),
    },
    "invoices": {
        "invoice_id": _INVOICE,
        "client_id": _CLIENT,
        "issued_on": _ISSUED,
        "amount": _AMOUNT,
        "due_on": ("due_on", "due_date", "due_date_utc", "payment_due", "due"),
        "paid_on": ("paid_on", "paid_at_utc", "paid_at", "payment_date", "date_paid", "paid_date",
                    "settled_date", "fully_paid_on_date", "clear_date"),
        "disputed": ("disputed", "in_dispute", "dispute", "is_disputed"),
    },
    "invoice_lines": {
        "line_id": ("line_id", "line_item_id", "invoice_line_id", "line_number_id"),
        "client_id": _CLIENT,
        "service_id": _SERVICE,
        "issued_on": _ISSUED,
        "quantity": _QUANTITY,
        "unit_price": _PRICE,
        "invoice_id": _INVOICE,
        "amount": _AMOUNT,
        "cost": _COST,
    },
    "work_entries": {
        "entry_id": ("entry_id", "time_entry_id", "timesheet_id", "ticket_id", "id"),
        "client_id": (*_CLIENT, "project"),
        "service_id": (*_SERVICE, "role"),
        "worked_on": ("worked_on", "spent_date", "work_date", "entry_date", *_DAY),
        "quantity": ("hours", "duration_decimal", "duration_hours", "time_h", *_QUANTITY),
        "cost": ("cost_amount", "internal_cost", *_COST),
        "billable": ("billable", "is_billable", "billable_status"),
        "line_id": ("line_id", "invoice_line_id"),
    },
    "rates": {
        "service_id": _SERVICE,
        "client_id": _CLIENT,
        "valid_from": ("valid_from", "effective_date", "effective_from", "start_date", "from"),
        "unit_price": _PRICE,
        "valid_to": ("valid_to", "effective_to", "end_date", "expires", "to"),
    },
    "quotes": {
        "quote_id": ("quote_id", "quote_number", "quote_no", "estimate_number", "estimate_no",
                     "opportunity_id", "deal_id", "id"),
        "service_id": _SERVICE,
        "quoted_on": ("quoted_on", "quote_date", "estimate_date", "created_date", *_ISSUED),
        "quoted_price": ("quoted_price", "quote_amount", "offer", "bid", *_PRICE, *_AMOUNT),
        "won": ("won", "accepted", "is_won", "sold", "converted", "is_accepted"),
        "client_id": _CLIENT,
        "quantity": _QUANTITY,
        "unit_cost": ("unit_cost", "cost"),
        "decided_on": ("decided_on", "accepted_date", "close_date", "closed_date", "decision_date"),
    },
    "channel_spend": {
        "channel": ("channel", "source", "campaign_channel", "platform", "medium", "network",
                    "ad_network", "campaign", "campaign_name", "source_medium"),
        "spent_on": ("spent_on", "week", "month", "reporting_starts", *_DAY),
        "amount": ("spend", "amount_spent", "cost", "ad_spend", "ad_cost", "media_cost", "amount"),
    },
    "series": {
        "series_id": ("series_id", "unique_id", "series", "metric", "metric_name", "name", "file",
                      "sensor_id", "item_id"),
        "observed_at": ("observed_at", "ds", "timestamp", "datetime", "time", *_DAY),
        "value": ("value", "y", "target", "measurement", "observation", "close", "sales"),
    },
    "client_outcomes": {
        "client_id": _CLIENT,
        "observed_on": ("observed_on", "outcome_date", *_DAY),
        "outcome": ("outcome", "label_name", "event"),
        "value": ("value", "label", "churned", "target"),
    },
}  # fmt: skip

#: Words in a file's name that speak for a table.
FILES: dict[str, tuple[str, ...]] = {
    "clients": ("client", "customer", "contact", "account"),
    "services": ("service", "product", "item", "sku", "catalog"),
    "invoices": ("invoice", "receivable", "bill", "sales_by_invoice"),
    "invoice_lines": ("line", "sales", "transaction", "detail", "order", "retail", "purchase"),
    "work_entries": ("work", "time", "timesheet", "hours", "ticket", "entries"),
    "rates": ("rate", "price_list", "pricelist", "tariff"),
    "quotes": ("quote", "estimate", "offer", "deal", "opportunit"),
    "channel_spend": ("spend", "marketing", "media", "ads", "campaign"),
    "series": ("series", "metric", "sensor", "usage", "history"),
    "client_outcomes": ("outcome", "churn", "label"),
}
