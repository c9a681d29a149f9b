//! How two sites agree.
