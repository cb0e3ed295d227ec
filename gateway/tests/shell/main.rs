//! The gateway's shell from outside: configuration, tokens, certificates, the store, the HTTP side, the command line, deployment files.

mod certificate;
mod command_line;
mod config;
mod deployment;
mod http;
mod store;
mod token;
