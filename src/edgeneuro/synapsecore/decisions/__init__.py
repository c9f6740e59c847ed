"""The decision APIs: POST /v1/decisions in OpenAI's format and POST /v1/systemone in System One's.
Both formats are read into one form (asked.py). A question which agent should answer is decided by
the whole pipeline (routed.py), other questions by a decision model (model.py)."""
