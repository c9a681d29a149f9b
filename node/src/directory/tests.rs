//! The directory over a real store.
