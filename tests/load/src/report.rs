//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// One rate, held for a while.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measurement {
    pub(crate) calls: u32,
    /// Packets a second, all talkers together.
    pub(crate) wanted_rate: u64,
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Packets that a caller's own QUIC connection had no room for; not counted as sent.
    pub(crate) held_back: u64,
    /// Share of the packets sent that did not arrive, 0 to 1.
    pub(crate) loss: f64,
    pub(crate) latency: Latency,
    pub(crate) gateway: Option<GatewayCpu>,
}

/// From one caller's send to the other caller's receive, microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// What the gateway spent.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct GatewayCpu {
    /// Cores that were busy, on average.
    pub(crate) cores: f64,
    pub(crate) us_per_packet: f64,
    pub(crate) packets_per_core_second: f64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The highest rate with a loss below 0.1 %, when it was searched.
    pub(crate) highest: Option<Measurement>,
    /// Latency at half of the highest rate, or at the rate asked for.
    pub(crate) latency: Measurement,
    /// Every step of the search.
    pub(crate) steps: Vec<Measurement>,
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50_us, p99_us, p999_us, .. } = self.latency;
        write!(f, "{:>8} packets/s: sent {:>9}, loss {:>7.3} %", self.wanted_rate, self.sent, self.loss * 100.0)?;
        write!(f, ", latency p50 {p50_us:.0} p99 {p99_us:.0} p99.9 {p999_us:.0} µs")?;
        if self.held_back > 0 {
            write!(f, ", {} held back", self.held_back)?;
        }
        match &self.gateway {
            Some(cpu) => write!(f, ", gateway {:.2} cores, {:.1} µs/packet", cpu.cores, cpu.us_per_packet),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "| {name:<44} | {value:>14} |");
        row("calls", self.latency.calls.to_string())?;
        if let Some(highest) = &self.highest {
            row("highest rate with loss < 0.1 %, packets/s", highest.wanted_rate.to_string())?;
            if let Some(cpu) = &highest.gateway {
                row("  gateway CPU, µs a packet", format!("{:.1}", cpu.us_per_packet))?;
                row("  packets/s per core", format!("{:.0}", cpu.packets_per_core_second))?;
            }
        }
        row("rate of the latency measurement, packets/s", self.latency.wanted_rate.to_string())?;
        row("  loss, %", format!("{:.3}", self.latency.loss * 100.0))?;
        row("  one-way latency p50, µs", format!("{:.0}", self.latency.latency.p50_us))?;
        row("  one-way latency p99, µs", format!("{:.0}", self.latency.latency.p99_us))?;
        row("  one-way latency p99.9, µs", format!("{:.0}", self.latency.latency.p999_us))?;
        row("  one-way latency, longest, µs", format!("{:.0}", self.latency.latency.max_us))?;
        if let Some(cpu) = &self.latency.gateway {
            row("  gateway CPU, µs a packet", format!("{:.1}", cpu.us_per_packet))?;
        }
        Ok(())
    }
}
