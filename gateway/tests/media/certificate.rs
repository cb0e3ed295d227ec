//! A certificate is replaced while sessions stand.

use tandem_switch::signal::{ClientMessage, ServerMessage};

use crate::support::{Gateway, Identity, endpoint, soon};

#[tokio::test]
async fn new_connections_see_the_new_certificate_and_old_ones_live_on() {
    let mut gateway = Gateway::start(2);
    let (link, mut client) = gateway.client().await;
    let old = endpoint(&gateway.identity.certificate);
    let renewed = Identity::new();
    let new = endpoint(&renewed.certificate);
    let address = gateway.media.local_addr();
    let connects = async |(endpoint, config): &(quinn::Endpoint, quinn::ClientConfig)| {
        let connecting = endpoint.connect_with(config.clone(), address, "localhost").unwrap();
        soon("a verdict", connecting).await.is_ok()
    };
    assert!(connects(&old).await);
    assert!(!connects(&new).await);
    gateway.media.set_certificate(vec![renewed.certificate.clone()], renewed.key()).unwrap();
    gateway.media.measure().await;
    // Several, so that every shard is met.
    for _ in 0..12 {
        assert!(connects(&new).await);
        assert!(!connects(&old).await);
    }
    client.say(&ClientMessage::Ping { data: 1 }).await;
    assert_eq!(gateway.message().await, (link, ClientMessage::Ping { data: 1 }));
    gateway.media.send(link, ServerMessage::Pong { data: 1 });
    assert_eq!(client.hear().await, ServerMessage::Pong { data: 1 });
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_and_changes_nothing() {
    let mut gateway = Gateway::start(1);
    let (one, other) = (Identity::new(), Identity::new());
    assert!(gateway.media.set_certificate(vec![one.certificate.clone()], other.key()).is_err());
    gateway.client().await;
}
