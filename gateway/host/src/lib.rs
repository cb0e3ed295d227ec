//! The function host.
