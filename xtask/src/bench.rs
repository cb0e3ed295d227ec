//! `cargo xtask bench`: the figures of SPECIFICATION.md.

use crate::command::{Outcome, Step, cargo, execute, steps};
use crate::setup;

type Kind = (&'static str, &'static str, fn() -> Outcome);

const KINDS: &[Kind] = &[
    ("route", "route: a decision of a tenant's function, fresh instance", route),
    ("datagram", "datagram: header and forwarding table", datagram),
    ("codec", "codec: Opus, telephone legs, mixing, listening: a frame of 20 ms", codec),
    ("quality", "quality: what speech sounds like after a bad network", quality),
    ("neighbours", "neighbours: a quiet tenant's decisions while another loops, hoards memory or floods", neighbours),
    ("fleet", "fleet: a thousand tenants' components on one node", fleet),
    ("upload", "upload: from the last byte of a component to a call that it routes", upload),
    ("recording", "recording: processor time of playing to parties, and of recording calls", recording),
    ("rooms", "rooms: a channel with a thousand listeners, rooms of 3, 10 and 50 talkers", rooms),
    ("load", "load: packets a second of the real gateway, and the latency it adds", load),
];

/// Runs all benchmarks, or those that are named.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.iter().find(|word| !KINDS.iter().any(|(name, _, _)| name == word)) {
        let names: Vec<&str> = KINDS.iter().map(|(name, _, _)| *name).collect();
        return Err(format!("no benchmark `{unknown}`; there are: {}", names.join(", ")));
    }
    let mut list: Vec<Step> = vec![("set-up", || setup::run_all(false))];
    let chosen = KINDS.iter().filter(|(name, _, _)| arguments.is_empty() || arguments.iter().any(|word| word == name));
    list.extend(chosen.map(|&(_, title, run)| (title, run)));
    steps(&list)
}

fn route() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "route"]))
}

fn datagram() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "datagram"]))
}

fn codec() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "codec"]))
}

/// Needs speech and its judge, which only tests need otherwise.
fn quality() -> Outcome {
    setup::for_tests()?;
    execute(cargo(&["bench", "--workspace", "--bench", "quality"]))
}

fn neighbours() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "neighbours"]))
}

fn fleet() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "fleet"]))
}

fn upload() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "upload"]))
}

fn recording() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "recording"]))
}

fn rooms() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "rooms"]))
}

fn load() -> Outcome {
    execute(cargo(&["bench", "--workspace", "--bench", "load"]))
}
