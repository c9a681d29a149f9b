//! Stories against a whole node, told with real clients. One binary, one module per story; owns nothing.
