//! Every committed corpus file keeps the invariants that the fuzzer checks.

use std::path::PathBuf;

fn replay(target: &str, body: fn(&[u8])) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        println!("{}", path.display());
        body(&std::fs::read(&path).expect("a corpus file can be read"));
        replayed += 1;
    }
    assert!(replayed >= 20, "{} has {replayed} files only", corpus.display());
}

#[test]
fn signal() {
    replay("signal", tandem_fuzz::signal);
}

#[test]
fn media() {
    replay("media", tandem_fuzz::media);
}

#[test]
fn plan() {
    replay("plan", tandem_fuzz::plan);
}

#[test]
fn sip() {
    replay("sip", tandem_fuzz::sip);
}

#[test]
fn sdp() {
    replay("sdp", tandem_fuzz::sdp);
}
