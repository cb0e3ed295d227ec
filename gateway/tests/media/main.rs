//! The media shards with real clients over loopback and a driver played by the test.

mod support;

mod certificate;
mod endings;
mod migration;
mod rooms;
mod signalling;
mod voice;
mod websocket;
