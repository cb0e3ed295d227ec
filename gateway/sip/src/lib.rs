//! The telephone world as pure pieces: what a SIP message must look like, whose password is right, which trunk is next.
//! No clock, socket, thread, lock or environment: whoever uses a piece tells it `now`, bytes and seeds, and carries out what it says.
//!
//! - [`screen`]: the strict check in front of the SIP stack: pass, answer or drop;
//! - [`cause`]: SIP statuses, our causes and Q.850's, as one table;
//! - [`digest`]: passwords, asked for and answered (RFC 7616);
//! - [`numbers`]: telephone numbers and a trunk's way to write them; [`trunk`]: which of its gateways is asked next;
//! - [`session_timer`]: calls whose far end has vanished are noticed (RFC 4028);
//! - [`sdp`]: sessions of one audio stream, offered and answered (RFC 3264);
//! - [`rtp`]: a leg's packets: numbers, addresses, digits, reports (RFC 3550, RFC 4733);
//! - [`guard`]: floods and scanners; [`toll`]: what a tenant's calls may reach and cost;
//! - [`limits`]: every bound of these.
#![forbid(unsafe_code)]

pub mod cause;
pub mod digest;
pub mod guard;
pub mod limits;
pub mod numbers;
pub mod rtp;
pub mod screen;
pub mod sdp;
pub mod session_timer;
pub mod toll;
pub mod trunk;
