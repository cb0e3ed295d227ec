//! A native client.
