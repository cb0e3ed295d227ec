//! What a route decision costs, side by side: in each world that the gateway runs (a fresh instance for each decision, as on a node), and by
//! webhook to a server that does nothing else, over a kept-alive connection on the loopback interface: the least that a webhook can
//! cost, without network, TLS or a language's runtime. Prints a table; SPECIFICATION.md has the figures.

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::{INCOMING, call, guest};
use tandem_host::{Function, Host, HostConfig, Origin};
use tandem_switch::event::Context;
use tandem_switch::http_contract;
use tandem_switch::plan::Plan;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A function of each world, all of which ring whom the caller dialled.
const WORLDS: [(&str, &str); 4] = [
    ("route decision (fresh instance, typed world)", "front-desk"),
    ("route decision (fresh instance, typed world, blocking)", "blocking"),
    ("route decision (fresh instance, wasi:http 0.2)", "served-misbehaving"),
    ("route decision (fresh instance, wasi:http 0.3 by spin-sdk 7)", "spin-app"),
];

const WEBHOOK: &str = "route decision (webhook, kept-alive loopback)";

/// Rounds, in each of which every way has its turn, so that all see the machine in the same moods.
const ROUNDS: usize = 100;
const DECISIONS_A_ROUND: usize = 200;
const LOADS: usize = 5;

fn main() {
    // `cargo bench` passes `--bench`; without it once through is enough to see that it works.
    let test = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, decisions, loads) = if test { (1, 10, 1) } else { (ROUNDS, DECISIONS_A_ROUND, LOADS) };
    let bytes = guest("front-desk");
    let cache = tempfile::tempdir().expect("a temporary directory");
    load_times("cold", None, &bytes, loads);
    load_times("from the cache", Some(cache.path().to_owned()), &bytes, loads);
    let host = Host::new(HostConfig::default()).expect("the host starts");
    let functions = WORLDS.map(|(_, name)| host.load(&guest(name)).expect("the guest loads"));
    host.settle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (decided, asked) = runtime.block_on(measure(&host, &functions, rounds, decisions));
    for ((what, _), took) in WORLDS.iter().zip(decided) {
        report(what, took);
    }
    report(WEBHOOK, asked);
    for ((_, name), function) in WORLDS.iter().zip(&functions) {
        let invocation = runtime.block_on(host.invoke(function, &call("carol", "alice"), &INCOMING));
        let memory = invocation.memory_high_water_bytes;
        println!("{name}: memory of an instance: {} KiB; component: {} KiB", memory / 1024, function.bytes() / 1024);
    }
}

/// How long each decision took, by world, and by webhook.
async fn measure(
    host: &Host,
    functions: &[Arc<Function>; 4],
    rounds: usize,
    decisions: usize,
) -> ([Vec<Duration>; 4], Vec<Duration>) {
    let context = call("carol", "alice");
    let mut webhook = Webhook::start().await;
    let mut decided = [const { Vec::new() }; 4];
    let mut asked = Vec::new();
    // One more, to warm up.
    for round in 0..=rounds {
        for (function, took) in functions.iter().zip(&mut decided) {
            for _ in 0..decisions {
                let started = Instant::now();
                let invocation = host.invoke(function, &context, &INCOMING).await;
                took.push(started.elapsed());
                assert!(invocation.answer.is_ok(), "{invocation:?}");
            }
        }
        for _ in 0..decisions {
            let started = Instant::now();
            let plan = webhook.ask(&context).await;
            asked.push(started.elapsed());
            assert!(!plan.steps.is_empty());
        }
        if round == 0 {
            decided.iter_mut().for_each(Vec::clear);
            asked.clear();
        }
    }
    (decided, asked)
}

/// A connection to a server on a thread of its own.
struct Webhook(TcpStream);

impl Webhook {
    async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("for tokio");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { serve(TcpListener::from_std(listener).expect("a listener")).await });
        });
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("an option");
        Self(stream)
    }

    async fn ask(&mut self, context: &Context) -> Plan {
        let body = http_contract::encode(context, &INCOMING);
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            http_contract::PATH,
            http_contract::CONTENT_TYPE,
            body.len()
        );
        self.0.write_all(&[head.as_bytes(), &body].concat()).await.expect("the server reads");
        let answer = message(&mut self.0).await.expect("the server answers");
        http_contract::decode(200, &answer).expect("a plan")
    }
}

/// Answers question after question of one client.
async fn serve(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.expect("a client");
    stream.set_nodelay(true).expect("an option");
    while let Some(body) = message(&mut stream).await {
        let question: http_contract::Request = serde_json::from_slice(&body).expect("a question");
        let plan = Plan::ring_user(&question.context.to, Duration::from_secs(30));
        let body = serde_json::to_vec(&plan).expect("a plan is JSON");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("the client reads");
    }
}

/// The body of the next message; `None` when the other end has closed.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut received = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut received).await.expect("the connection holds") == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&received);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if body.len() >= length.parse().expect("a number") {
            return Some(body.as_bytes().to_vec());
        }
    }
}
fn load_times(what: &str, cache: Option<PathBuf>, bytes: &[u8], loads: usize) {
    let host = || Host::new(HostConfig { cache: cache.clone(), ..HostConfig::default() }).expect("the host starts");
    if cache.is_some() {
        let (host, started) = (host(), Instant::now());
        let function = host.load(bytes).expect("it loads");
        assert_eq!(function.origin(), Origin::Compiled);
        host.settle();
        report("load, compiled well in the background", vec![started.elapsed()]);
    }
    let mut took = Vec::with_capacity(loads);
    for _ in 0..loads {
        let host = host();
        let started = Instant::now();
        let function = host.load(bytes).expect("it loads");
        took.push(started.elapsed());
        assert_eq!(function.origin() == Origin::Cached, cache.is_some());
    }
    report(&format!("load, {what}"), took);
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.1} µs, p99 {:.1} µs (n={})", at(50), at(99), took.len());
}
