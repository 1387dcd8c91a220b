"""Every code that an error may carry, and what it means to a caller; ``docs/errors.md`` is this."""

from __future__ import annotations

from pathlib import Path

CODES = {
    "already_champion": "The version serves already.",
    "artifact_damaged": "The champion's files are not those that were written, and no version"
    " before it is loaded: roll back, or train again.",
    "artifact_outdated": "The champion's files were written by another version of Sevenfold: train"
    " again.",
    "body_broken_off": "The body did not come to its end: the connection was closed, or nothing"
    " came for a minute.",
    "body_too_large": "The body is above the limit that `detail` names: send less, or a batch in"
    " parts.",
    "busy": "More is asked for at once than this instance can answer: try again after the seconds"
    " in `Retry-After`.",
    "champion_broken": "The champion's files are those that were written, but it cannot be loaded;"
    " the log has the reason: roll back, or train again.",
    "champion_changed": "Somebody else decided on the champion at the same time: look at it, and"
    " ask again.",
    "cursor_expired": "The day that the cursor walks through was scored again: read again from the"
    " first page.",
    "feature_schema_mismatch": "The stored features are not those that the champion learned from:"
    " score the day again.",
    "file_quota": "The files that are kept for this owner would be too many bytes: `detail` says"
    " how many there are. They expire some days after their jobs end.",
    "forbidden": "The key's role does not reach as far: `detail` names the role that does.",
    "http_error": "The request could not be served; the status and `detail` say why.",
    "idempotency_conflict": "A call with this `Idempotency-Key` is still being answered: try again"
    " shortly.",
    "idempotency_mismatch": "This `Idempotency-Key` was used for another body: take a new one.",
    "idempotency_secret": "The first answer to this `Idempotency-Key` showed a secret, which is"
    " never stored: look for what it made, or make another with a new key.",
    "internal_error": "Something went wrong on our side; the log has it under the request's id.",
    "invalid_request": "A field, filter or cursor is not as expected; `errors` points at each.",
    "job_expired": "The job ended long ago, and its files were removed: send the file again.",
    "job_quota": "This owner has as many jobs under way as it may: wait until one has ended, or"
    " cancel one.",
    "job_under_way": "The job has not ended yet: come back later, or ask with `partial=true` for"
    " what is finished so far.",
    "key_not_active": "The key was revoked or has expired, so nothing can be made from it: make a"
    " new one.",
    "method_not_allowed": "The path exists, but not for this method; `Allow` names those it has.",
    "no_champion": "No version of the model passed its gate yet, so it is silent.",
    "no_results": "The job is of a kind that answers no rows, so it has no results.",
    "not_found": "There is no such path.",
    "not_scored": "The model has no stored decisions yet.",
    "query_not_answerable": "The question is well formed, but the model cannot answer it; `errors`"
    " points at the reason.",
    "rate_limited": "The key, or the address without one, called too often: wait the seconds in"
    " `Retry-After`.",
    "schedule_under_way": "The last job of the schedule has not ended, and two never run at once.",
    "store_unreachable": "The store of models and files does not answer as it should: ask again"
    " later.",
    "timed_out": "The answer has to be fitted on request, and took longer than it may: send less"
    " history, or ask again later.",
    "training_under_way": "The model is being trained already: `detail` names the job.",
    "unauthorized": "There is no valid key in `Authorization: Bearer svf_…` or `X-API-Key`.",
    "unknown_delivery": "The webhook has no delivery of that id; old ones are forgotten.",
    "unknown_entity": "The newest scored day has no decision on that id.",
    "unknown_form": "Neither `format` nor Content-Type nor a name says that the file is CSV, NDJSON"
    " or Parquet, or it is encoded in a way that is not read here.",
    "unknown_job": "The caller has no job of that id.",
    "unknown_key": "There is no key of that id.",
    "unknown_model": "There is no model of that name.",
    "unknown_schedule": "There is no schedule of that id.",
    "unknown_webhook": "You have no webhook of that id.",
    "unknown_version": "The model has no version of that id.",
    "unreadable_file": "The file is plainly not of the form that it is said to be: `detail` says"
    " what it looks like.",
    "warehouse_busy": "Another writer holds the warehouse for longer than this call may wait: try"
    " again after the seconds in `Retry-After`.",
    "warehouse_unreachable": "The warehouse does not answer: try again later.",
    "webhook_disabled": "The webhook is disabled, so that nothing is sent to it: enable it first.",
    "webhook_limit": "The owner has as many webhooks as it may have: delete one, or let one take"
    " more events.",
    "worker_died": "The process that fits such an answer ended before it was there, twice: try"
    " again later, or send less history.",
}

TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timed out",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    429: "Too many requests",
    500: "Internal error",
    503: "Not ready",
    504: "Timed out",
}

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"


def markdown() -> str:
    """The text of ``docs/errors.md``."""
    sections = "\n".join(f"## {code}\n\n{CODES[code]}\n" for code in sorted(CODES))
    return f"""# Errors of the API

Generated by `make docs` from `api/error_codes.py`, never by hand.

Every error is an RFC 9457 problem (`application/problem+json`) with `type`, `title`, `status`,
`detail`, `code` and `request_id`, and with `errors`, a list of JSON pointers with a sentence each,
where fields of the request are at fault.

{sections}"""


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
