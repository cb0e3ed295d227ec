//! The gateway's shell from outside: configuration, tokens, certificates, the store, the HTTP side, the control API, the command line,
//! deployment files.

mod api;
mod certificate;
mod command_line;
mod config;
mod deployment;
mod functions;
mod guests;
mod http;
mod sound;
mod store;
mod tenants;
mod tenants_rules;
mod token;
