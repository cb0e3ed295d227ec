//! The client against servers on loopback, good and bad.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every name leads here.
struct AllLeadTo(Vec<IpAddr>);

impl Resolve for AllLeadTo {
    fn resolve(&self, _name: Name) -> Resolving {
        let found: Vec<_> = self.0.iter().map(|&address| SocketAddr::new(address, 0)).collect();
        Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
    }
}

/// What a server sends after it has read a request's head.
#[derive(Clone)]
enum Answer {
    Bytes(Vec<u8>),
    /// This, and then the same again until nobody listens.
    Endless(&'static [u8], &'static [u8]),
    /// Nothing, and the connection stays open.
    Silence,
}

/// A server on loopback; gives the requests that it reads.
async fn serve(answer: Answer) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, seen) = (answer.clone(), seen.clone());
            tokio::spawn(async move {
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => head.extend_from_slice(&buffer[..count]),
                    }
                }
                let _ = seen.send(String::from_utf8_lossy(&head).into_owned());
                match answer {
                    Answer::Bytes(bytes) => drop(stream.write_all(&bytes).await),
                    Answer::Endless(head, again) => {
                        let mut sent = stream.write_all(head).await;
                        while sent.is_ok() {
                            sent = stream.write_all(again).await;
                        }
                    }
                    Answer::Silence => std::future::pending().await,
                }
            });
        }
    });
    (port, requests)
}

fn answer(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

fn ok() -> Answer {
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi")
}

fn reaching(private: &[&str], names: Arc<dyn Resolve>) -> Client {
    let reach = Reach::with_private(private.iter().map(|network| network.parse().unwrap()).collect());
    Client::with_names(reach, OutgoingMetrics::default(), names).unwrap()
}

/// A client that may go to loopback, where every name leads.
fn at_home() -> Client {
    reaching(&["127.0.0.0/8"], Arc::new(AllLeadTo(vec!["127.0.0.1".parse().unwrap()])))
}

fn get(url: impl Into<String>) -> HttpRequest {
    let (method, body) = ("GET".to_owned(), Bytes::default());
    HttpRequest { method, url: url.into(), headers: Vec::new(), body, timeout_ms: None }
}

async fn send(client: &Client, request: HttpRequest) -> Reply {
    let anywhere = ["*://127.0.0.1:*", "*://*.test:*", "*://[::1]:*", "*://[::ffff:127.0.0.1]:*"];
    let allowed: Vec<HostPattern> = anywhere.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let tenant = TenantId::new("acme").unwrap();
    tokio::time::timeout(PATIENCE, client.send(&tenant, request, &allowed)).await.expect("it ends by itself")
}

#[tokio::test]
async fn an_allowed_request_is_sent_and_its_answer_given_whole() {
    let (port, mut requests) = serve(ok()).await;
    let mut request = get(format!("http://api.test:{port}/a?b=c#d"));
    request.method = "POST".into();
    request.headers = vec![("x-one".into(), "1".into()), ("content-length".into(), "3".into())];
    request.body = Bytes("abc".into());
    let Reply::Response(response) = send(&at_home(), request).await else { panic!("no answer") };
    assert_eq!((response.status, &response.body.0[..]), (200, &b"hi"[..]));
    assert!(response.headers.contains(&("x-a".into(), "b".into())));
    let seen = requests.recv().await.unwrap();
    assert!(seen.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: api.test:{port}\r\n")) && seen.contains("x-one: 1\r\n"), "{seen}");
    assert_eq!(seen.matches("content-length: 3").count(), 1, "{seen}");
}

#[tokio::test]
async fn private_addresses_are_denied_however_they_are_written() {
    let (port, mut requests) = serve(ok()).await;
    let client = reaching(&[], Arc::new(AllLeadTo(vec!["127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()])));
    for host in
        ["127.0.0.1", "0x7f.1", "017700000001", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "inner.test"]
    {
        let reply = send(&client, get(format!("http://{host}:{port}/"))).await;
        let Reply::Refused(Refusal::Denied(why)) = &reply else { panic!("{host}: {reply:?}") };
        assert!(why.contains("allow_private_addresses"), "{host}: {why}");
        assert!(!why.contains("127.0.0.1"), "the operator's network is told: {why}");
    }
    assert!(requests.try_recv().is_err(), "something was sent");
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_connected_to() {
    let (port, _requests) = serve(ok()).await;
    let found = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let client = reaching(&["127.0.0.1"], Arc::new(AllLeadTo(found)));
    assert!(matches!(send(&client, get(format!("http://mixed.test:{port}/"))).await, Reply::Response(_)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inner, mut requests) = serve(ok()).await;
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner}/secret\r\ncontent-length: 0\r\n\r\n");
    let (port, _outer) = serve(answer(&moved)).await;
    let Reply::Response(response) = send(&at_home(), get(format!("http://api.test:{port}/"))).await else {
        panic!("no answer")
    };
    assert_eq!(response.status, 302);
    assert!(requests.try_recv().is_err(), "the redirect was followed");
}

#[tokio::test]
async fn a_host_that_the_manifest_does_not_name_is_denied() {
    let reply = send(&at_home(), get("https://other.example/secret?token=1")).await;
    let Reply::Refused(Refusal::Denied(why)) = reply else { panic!("{reply:?}") };
    assert!(why.contains("https://other.example;") && why.contains("allowed_outbound_hosts"), "{why}");
}

#[tokio::test]
async fn a_request_that_may_not_be_is_refused_with_what_would_be_right() {
    let client = at_home();
    let header = |name: &str, value: &str| HttpRequest {
        headers: vec![(name.into(), value.into())],
        ..get("http://api.test:1/")
    };
    let table = [
        (get("nonsense"), "cannot be read"),
        (get("ftp://api.test/"), "http and https only"),
        (get("http://me:secret@api.test/"), "authorization"),
        (get(format!("http://api.test/{}", "a".repeat(limits::URL_BYTES_MAX))), "bytes"),
        (HttpRequest { method: "CONNECT".into(), ..get("http://api.test/") }, "not for functions"),
        (HttpRequest { method: "a b".into(), ..get("http://api.test/") }, "no method"),
        (header("Host", "inner"), "`host` is set by the gateway"),
        (header("connection", "x-a"), "set by the gateway"),
        (header("transfer-encoding", "chunked"), "set by the gateway"),
        (header("keep-alive", "1"), "set by the gateway"),
        (header("content-length", "5"), "the body has 0 bytes"),
        (header("a b", "c"), "no header name"),
        (header("a", "b\r\nc: d"), "cannot be sent"),
        (header("a", &"b".repeat(limits::HEADER_BYTES_MAX)), "at most"),
        (
            HttpRequest { body: Bytes(vec![0; limits::BODY_BYTES_MAX + 1].into()), ..get("http://api.test:1/") },
            "more than",
        ),
    ];
    for (request, says) in table {
        let shown =
            format!("{} {} {:?}", request.method, &request.url[..request.url.len().min(40)], request.headers.first());
        let Reply::Refused(refusal) = send(&client, request).await else { panic!("{shown} was sent") };
        assert!(refusal.to_string().contains(says), "{shown}: {refusal}");
    }
}

#[tokio::test]
async fn a_server_that_misbehaves_is_a_refusal_and_not_more() {
    let endless: Answer = Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 4096]);
    let chunked: Answer =
        Answer::Endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"10\r\naaaaaaaaaaaaaaaa\r\n");
    let announced = answer("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort");
    let headers: Answer = Answer::Endless(b"HTTP/1.1 200 OK\r\n", b"x-header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    let header = answer(&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(limits::HEADER_BYTES_MAX)));
    let table = [
        ("an endless body", endless, "the answer's body has more than"),
        ("an endless chunked body", chunked, "the answer's body has more than"),
        ("a body cut short", announced, "failed"),
        ("endless headers", headers, "failed"),
        ("a huge header", header, "headers have more than"),
        ("no HTTP", answer("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "failed"),
        ("nothing", answer(""), "failed"),
    ];
    for (what, answer, says) in table {
        let (port, _requests) = serve(answer).await;
        let reply = send(&at_home(), get(format!("http://api.test:{port}/"))).await;
        let Reply::Refused(refusal) = reply else { panic!("{what}: {reply:?}") };
        assert!(refusal.to_string().contains(says), "{what}: {refusal}");
    }
}

#[tokio::test]
async fn a_slow_server_is_given_up_when_the_function_s_time_is_over() {
    let (port, _requests) = serve(Answer::Silence).await;
    let request = HttpRequest { timeout_ms: Some(50), ..get(format!("http://api.test:{port}/")) };
    let reply = send(&at_home(), request).await;
    assert_eq!(reply, Reply::Refused(Refusal::TimedOut("no whole answer within 50 ms".into())));
}

#[tokio::test]
async fn nobody_listening_is_said_in_plain_words() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let reply = send(&at_home(), get(format!("http://api.test:{unused}/?secret=1"))).await;
    let Reply::Refused(Refusal::Failed(why)) = reply else { panic!("{reply:?}") };
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_tenant_s_requests_under_way_are_bounded_and_leave_others_their_places() {
    let (port, mut requests) = serve(Answer::Silence).await;
    let client = at_home();
    let [greedy, other] = ["greedy", "other"].map(|name| TenantId::new(name).unwrap());
    let allowed: Arc<[HostPattern]> = Arc::new(["*://api.test:*".parse().unwrap()]);
    let ask = |tenant: &TenantId| {
        let (client, tenant, allowed) = (client.clone(), tenant.clone(), Arc::clone(&allowed));
        let request = get(format!("http://api.test:{port}/"));
        tokio::spawn(async move { client.send(&tenant, request, &allowed).await })
    };
    let slow: Vec<_> = (0..limits::IN_FLIGHT_PER_TENANT_MAX).map(|_| ask(&greedy)).collect();
    for _ in &slow {
        requests.recv().await.unwrap();
    }
    assert!(matches!(ask(&greedy).await.unwrap(), Reply::Refused(Refusal::OverLimit(_))));
    let others = ask(&other);
    requests.recv().await.expect("another tenant's request is sent");
    for task in slow.into_iter().chain([others]) {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let under_way = client.inner.lock();
    assert_eq!((under_way.all, under_way.of.len()), (0, 0), "a dropped request gives its place back");
}
