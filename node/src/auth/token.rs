//! Tokens: HMAC-SHA256 over a payload, good at this node only.
