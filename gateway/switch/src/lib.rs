//! The pure core of Tandem: what a call is, what the parties say to each other about it, and how a voice packet finds
//! its way. No clock, socket, thread, lock or environment: every machine is told `now`, takes inputs and is drained of outputs.
//!
//! - [`exchange::Exchange`]: all sessions and calls of a node, one state machine;
//! - [`call::Call`]: one call: its plan, cursor and legs;
//! - [`room::Room`]: a conference or a channel: who is in it, whose voice passes, what its members are told;
//! - [`signal`]: the messages between clients and the gateway;
//! - [`audio`]: what calls want of the gateway's own voice;
//! - [`media`]: datagram and RTP headers, the forwarding table, speaker selection, reception statistics, the jitter buffer;
//! - [`binding`]: which function answers for what was dialled; [`rollout`]: which version of it, and what is thought of each;
//! - [`budget`]: what a tenant's functions may use;
//! - [`queue`]: who waits for whom: a tenant's queues and the agents who serve them;
//! - [`plan`], [`event`]: the contract with tenants' functions (`wit/voice.wit`), as Rust types and as JSON;
//! - [`http_contract`]: the same contract for a function that is asked over HTTP.
#![forbid(unsafe_code)]

pub mod audio;
pub mod binding;
pub mod budget;
pub mod call;
pub mod cause;
pub mod event;
pub mod exchange;
pub mod http_contract;
pub mod id;
pub mod limits;
pub mod mailbox;
pub mod media;
pub mod plan;
pub mod queue;
pub mod record;
pub mod rollout;
pub mod room;
pub mod signal;
pub mod time;
pub mod token;
